"""Does the planner predict this machine? Calibrated on one rank, predicted and measured under mpirun.

    minipar launch -n 2 python benchmarks/planner.py [--width 384] [--rounds 9]

Rank 0 alone trains at two sizes of a micro-batch; rate and launch overhead are fitted to these two times. The
links and the overhead of a collective call are measured between the two ranks, without a training. Then two
ranks train with each layout, in turns, and the step's time is predicted from the machine that one rank
measured. One line per layout: predicted, measured, the error, and the distance from the measured time to the
median of the rounds. A measured time is that of the fastest round, because other programs can only increase a
time. Two layouts are a tie if their measured or their predicted times differ by less than 5 %.
"""

from __future__ import annotations

import argparse
from itertools import combinations
from statistics import median

import numpy as np
from turns import require_ranks

import minipar as mp
from minipar.comm.solo import solo
from minipar.doctor.collective_calls import best_of, measure_calls
from minipar.doctor.smoke import measure_links
from minipar.malloc import keep_freed_memory
from minipar.plan.calibrate import MeasuredStep
from minipar.plan.machine import Machine
from minipar.plan.software import SOFTWARE
from minipar.plan.step_time import step_time
from minipar.trace.measure_machine import fitted, machine_without_steps, with_links

CONTEXT, LAYERS, HEADS = 64, 4, 4
TIE = 0.05  # the largest relative difference of two layouts that are a tie
SMALL, LARGE = (
    mp.TrainConfig(batch=8, micro_batches=8, validation_windows=1),
    mp.TrainConfig(batch=16, micro_batches=4, validation_windows=1),
)
LAYOUTS = {
    "dp 2": mp.Layout(dp=2),
    "dp 2, zero 1": mp.Layout(dp=2, zero=1),
    "dp 2, zero 2": mp.Layout(dp=2, zero=2),
    "dp 2, zero 3": mp.Layout(dp=2, zero=3),
    "tp 2": mp.Layout(tp=2),
    "tp 2, sequence parallel": mp.Layout(tp=2, sequence_parallel=True),
    "pp 2, gpipe": mp.Layout(pp=2, pipeline="gpipe"),
    "pp 2, 1f1b": mp.Layout(pp=2),
    "pp 2, zb-h1": mp.Layout(pp=2, pipeline="zb-h1"),
}


def model_of(width: int) -> mp.ModelConfig:
    return mp.ModelConfig(vocabulary=256, context=CONTEXT, layers=LAYERS, heads=HEADS, width=width)


def trainer(
    comm: mp.Communicator, model: mp.ModelConfig, layout: mp.Layout, train: mp.TrainConfig
) -> mp.Trainer:
    text = "the quick brown fox jumps over the lazy dog. " * 400
    tokenizer = mp.make_tokenizer("byte", text)
    return mp.Trainer(model, train, tokenizer, tokenizer.encode(text), mp.Grid(comm, layout))


def measured(world: mp.Communicator, model: mp.ModelConfig, rounds: int) -> dict[str, list[float]]:
    """Seconds of each contender, round by round, on rank 0: two sizes on one rank, then all layouts on two.
    """
    single = {
        name: trainer(solo(), model, mp.Layout(), train)
        for name, train in (("small", SMALL), ("large", LARGE))
    }
    together = {name: trainer(world, model, layout, LARGE) for name, layout in LAYOUTS.items()}
    times: dict[str, list[float]] = {name: [] for name in [*single, *together]}
    for _ in range(rounds + 1):
        for name, one in single.items():
            if world.rank == 0:
                times[name].append(one.step().seconds)
            world.barrier(label="alone")
        for name, one in together.items():
            seconds = one.step().seconds
            times[name].append(float(mp.all_reduce(world, np.array([seconds]), "max", label="slowest")[0]))
    return {name: seconds[1:] for name, seconds in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--width", type=int, default=384, help="width of the model (default 384)")
    options = parser.parse_args()
    model = model_of(options.width)
    keep_freed_memory()
    with mp.job(timeout=120) as world:
        require_ranks(world, 2, 2)
        links = [measure_links(world) | measure_calls(world)]
        times = measured(world, model, options.rounds)
        links.append(measure_links(world) | measure_calls(world))
        if world.rank == 0:
            print(*lines(model, machine_of(model, best_of(links), times), times), sep="\n")


def machine_of(model: mp.ModelConfig, links: dict[str, float], times: dict[str, list[float]]) -> Machine:
    """The machine, fitted to the two times of one rank."""
    raw = with_links(machine_without_steps(), links)
    rows = [
        MeasuredStep(model, train, mp.Layout(), min(times[name]), name)
        for name, train in (("small", SMALL), ("large", LARGE))
    ]
    return fitted(raw, rows)


def lines(model: mp.ModelConfig, machine: Machine, times: dict[str, list[float]]) -> list[str]:
    """The table, and how often the ranking of two layouts is right."""
    found = [
        f"rate {machine.rate / 1e9:.1f} GFLOP/s, launch overhead {1e6 * machine.launch:.0f} us, link "
        f"{1e6 * machine.within.latency:.1f} us and {machine.within.bandwidth / 1e9:.2f} GB/s, call "
        f"{1e6 * machine.call:.0f} us, memory {machine.memory_rate / 1e9:.1f} GB/s",
        f"{'layout':26}{'predicted':>12}{'measured':>12}{'error':>9}{'median':>9}",
    ]
    predicted = {
        name: step_time(model, LARGE, layout, machine, software=SOFTWARE["minipar"], simulated=True).total
        for name, layout in LAYOUTS.items()
    }
    for name, seconds in predicted.items():
        fastest = min(times[name])
        found.append(
            f"{name:26}{1e3 * seconds:9.1f} ms{1e3 * fastest:9.1f} ms{100 * (seconds / fastest - 1):+8.1f}%"
            f"{100 * (median(times[name]) / fastest - 1):+8.1f}%"
        )
    measured = {name: min(times[name]) for name in predicted}
    pairs = [
        (a, b)
        for a, b in combinations(predicted, 2)
        if all(abs(each[a] / each[b] - 1) > TIE for each in (predicted, measured))
    ]
    wrong = [(a, b) for a, b in pairs if (predicted[a] < predicted[b]) != (measured[a] < measured[b])]
    right = f"{len(pairs) - len(wrong)} of {len(pairs)} pairs that are no tie are ranked right"
    return [*found, right, *(f"wrong: {a} and {b}" for a, b in wrong)]


if __name__ == "__main__":
    main()
