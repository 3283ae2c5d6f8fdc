"""Measures this machine for the planner: training steps on one rank, the memory, and links between two ranks.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from minipar.comm.children import isolated
from minipar.comm.collectives.select import BETWEEN_NODES, WITHIN_NODE
from minipar.comm.solo import solo
from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.data.tokenizer import make_tokenizer
from minipar.doctor.checkup import Host, measured_links
from minipar.launcher.launch import BLAS_THREADS
from minipar.malloc import keep_freed_memory
from minipar.parallel.grid import Grid
from minipar.plan.calibrate import SUSTAINED, MeasuredStep, calibrate
from minipar.plan.machine import Link, Machine, machine_from
from minipar.plan.software import SOFTWARE
from minipar.training.trainer import Trainer

TEXT = "the quick brown fox jumps over the lazy dog. " * 400
MODEL = ModelConfig(vocabulary=256, context=64, layers=4, heads=4, width=128)
# SAMPLES: the samples of a micro-batch in each of two runs. STEPS: the measured steps of each run.
SAMPLES, STEPS = (2, 16), 7
MICRO_BATCHES = 4
LENIENT = 8  # the true peak may be up to LENIENT times the measured peak
# SQUARE: the rows of the multiplied matrices, which are square. COPIED: the elements of the copied array.
SQUARE, COPIED = 512, 1 << 24


def measure_machine() -> Machine:
    """Measures this machine in 32 bits. The rate and the launch overhead are fitted to two training runs on
    one rank.

    The training runs use one process, whose matrix products use one core. A rank of `minipar launch` also
    uses one core if there are as many ranks as cores. `minipar doctor` measures the links between two
    processes. Without MPI, the links have typical values.
    """
    environment = os.environ | dict.fromkeys(BLAS_THREADS, "1")
    child = subprocess.run(
        isolated("minipar.trace.measure_machine"),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=True,
        encoding="utf-8", errors="backslashreplace",
    )
    answer = json.loads(child.stdout)
    raw = machine_from(answer["machine"], "this machine")
    if found := measured_links(Host.here(os.environ)):
        raw = with_links(raw, found)
    timed = zip(SAMPLES, answer["seconds"], strict=True)
    rows = [measured_row(samples, seconds) for samples, seconds in timed]
    return replace(fitted(raw, rows), name="")


def fitted(raw: Machine, rows: Sequence[MeasuredStep]) -> Machine:
    """Returns the machine, fitted to steps of minipar. Other programs may have made the measured peak too
    low. If the fitted rate shows this, the new peak is computed from the fitted rate.
    """
    found = calibrate(replace(raw, peak=LENIENT * raw.peak), rows, SOFTWARE["minipar"])
    return replace(found, peak=max(raw.peak, found.rate / SUSTAINED))


def with_links(machine: Machine, measured: Mapping[str, float]) -> Machine:
    """Returns the machine with the links, the overhead of a call and the memory rate that the doctor measured
    between two ranks (`smoke.measure_links`, `collective_calls.measure_calls`).
    """
    return replace(
        machine,
        within=Link(measured["alpha"], 1 / measured["stream"]),
        call=measured["call"],
        memory_rate=measured["memory_rate"],
    )


def machine_without_steps() -> Machine:
    """Measures large products and copies on one core. Links and launch overhead have typical values."""
    cores = os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / cores
    product = 2 * SQUARE**3 / _fastest(_product())
    within, between = (
        Link(float(links.alpha), 1 / float(links.beta)) for links in (WITHIN_NODE, BETWEEN_NODES)
    )
    return Machine(
        rate=product,
        launch=1e-3,
        memory_rate=8 * COPIED / _fastest(_copy()),
        peak=product / SUSTAINED,
        within=within,
        between=between,
        per_node=cores,
        memory=memory,
        reserve=0.2 * memory,
        name="this machine",
        source="measured by minipar plan --calibrate",
    )


def training_of(samples: int) -> TrainConfig:
    """Returns a training run with MICRO_BATCHES micro-batches of `samples` samples."""
    return TrainConfig(batch=MICRO_BATCHES * samples, micro_batches=MICRO_BATCHES, validation_windows=1)


def measured_row(samples: int, seconds: float) -> MeasuredStep:
    """Returns the row of a training run on one rank, see `training_of`."""
    name = f"{MICRO_BATCHES} micro-batches of {samples} samples: {seconds:.3g} s"
    return MeasuredStep(MODEL, training_of(samples), Layout(), seconds, name)


def step_seconds(samples: int) -> float:
    """Returns the seconds of the fastest step of `training_of(samples)` in this process. Other programs can
    only increase a time.
    """
    tokenizer = make_tokenizer("byte", TEXT)
    grid = Grid(solo(), Layout())
    trainer = Trainer(MODEL, training_of(samples), tokenizer, tokenizer.encode(TEXT), grid)
    trainer.step()
    return min(trainer.step().seconds for _ in range(STEPS))


def _product() -> Callable[[], object]:
    left, right, out = (np.ones((SQUARE, SQUARE), np.float32) for _ in range(3))
    return lambda: np.matmul(left, right, out=out)


def _copy() -> Callable[[], object]:
    source, target = np.ones(COPIED, np.float32), np.empty(COPIED, np.float32)
    return lambda: np.copyto(target, source)


def _fastest(work: Callable[[], object], rounds: int = 25) -> float:
    """Runs `work` several times, and returns the shortest time. Other programs can only increase a time."""
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)


def main() -> None:
    """Run the measurements in this process. Print one line of JSON: the machine without links, and the
    seconds of the steps.
    """
    keep_freed_memory()
    before = machine_without_steps()
    seconds = [step_seconds(samples) for samples in SAMPLES]
    # a program that disturbs one of the two measurements can only make it slower
    fastest = max(before, machine_without_steps(), key=lambda machine: machine.rate)
    print(json.dumps({"machine": fastest.to_dict(), "seconds": seconds}))


if __name__ == "__main__":
    main()
