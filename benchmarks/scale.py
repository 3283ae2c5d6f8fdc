"""What does a rank cost when there are many?    python benchmarks/scale.py    (or: --most 256)

A training step with 8 to 1,024 ranks as threads of one process, with virtual clocks that count FLOPs: what
`minipar trace --engine threads --flops-rate 1e9` does before it writes its files. tp is 8, and dp and pp
grow. The model is tiny and has one layer per stage, so each rank computes the same, and what grows is the
cost of ranks and messages. Each number of ranks runs in a new process, 64 ranks first; `--again 3` takes the
medians of three runs.

The columns: seconds, and seconds of processor time; milliseconds of processor time per rank, and how often
that of 64 ranks; messages that a rank sends; the largest memory of the process. The last column says whether
the loss equals that of a single process (float64, relative difference below 1e-12).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from statistics import median

from turns import ONE_CORE, ROOT

import minipar as mp
from minipar.comm.wrappers.network import Network
from minipar.proof.case import text_of
from minipar.trace.step import single_process_losses, trace_step

LAYOUTS = {8: (1, 1), 16: (1, 2), 32: (2, 2), 64: (2, 4), 128: (4, 4), 256: (4, 8), 512: (8, 8),
           1024: (8, 16)}                                           # ranks -> dp and pp; tp is 8
TP, MICRO_BATCHES, VOCABULARY, RATE = 8, 4, 128, 1e9
BASE = 64                                                           # the ranks to which others are compared
NETWORK = Network(1e-6, 1e-10)
TIMEOUT = 600.0


def task(ranks: int) -> tuple[mp.Layout, mp.ModelConfig, mp.TrainConfig]:
    """One layer per stage, one sample per micro-batch, two numbers per head."""
    dp, pp = LAYOUTS[ranks]
    model = mp.ModelConfig(vocabulary=VOCABULARY, context=8, layers=pp, heads=TP, width=2 * TP)
    train = mp.TrainConfig(batch=MICRO_BATCHES * dp, micro_batches=MICRO_BATCHES, dtype="float64")
    return mp.Layout(dp=dp, tp=TP, pp=pp), model, train


def measured(ranks: int) -> dict[str, float]:
    """The figures of one run in this process."""
    layout, model, train = task(ranks)
    tokenizer, tokens = text_of(VOCABULARY)
    wall, processor = time.perf_counter(), time.process_time()
    trace = mp.run(
        ranks,
        lambda comm: trace_step(comm, layout, model, train, tokenizer, tokens, NETWORK, RATE),
        timeout=TIMEOUT,
    )[0]
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert trace is not None
    expected = single_process_losses(model, train, tokenizer, tokens, len(trace.losses))
    difference = max(abs(own / one - 1) for own, one in zip(trace.losses, expected, strict=True))
    messages = sum(event.kind == "send" for event in trace.events)
    return {"wall": wall, "processor": processor, "memory": memory, "messages": messages / ranks,
            "difference": difference}


def in_a_new_process(ranks: int) -> dict[str, float]:
    environment = os.environ | ONE_CORE | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, __file__, "--one", str(ranks)], env=environment,
                           stdout=subprocess.PIPE, text=True)
    if ended.returncode:
        sys.exit(ended.returncode)
    found: dict[str, float] = json.loads(ended.stdout)
    return found


def row(ranks: int, runs: Sequence[dict[str, float]], base: float | None) -> str:
    """One line of the table: medians over the runs. base: milliseconds per rank of BASE ranks, if known."""
    one = {name: median(each[name] for each in runs) for name in runs[0]}
    per_rank = 1e3 * one["processor"] / ranks
    ratio = "" if base is None else f"{per_rank / base:.2f}"
    dp, pp = LAYOUTS[ranks]
    equal = "equal" if max(each["difference"] for each in runs) < 1e-12 else "DIFFERENT"
    return (f"{ranks:5} {dp:3} {TP:3} {pp:3} {one['wall']:8.1f} {one['processor']:9.1f} {per_rank:12.1f} "
            f"{ratio:>6} {one['messages']:9.0f} {one['memory']:8.0f}  {equal}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--most", type=int, default=max(LAYOUTS), help="ranks at most (default 1024)")
    parser.add_argument("--again", type=int, default=1, metavar="N", help="runs of each number of ranks")
    parser.add_argument("--one", type=int, choices=LAYOUTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measured(options.one)))
        return
    print(f"{'ranks':>5} {'dp':>3} {'tp':>3} {'pp':>3} {'seconds':>8} {'processor':>9} {'ms per rank':>12} "
          f"{'to 64':>6} {'messages':>9} {'MiB':>8}  loss")
    base = None
    for ranks in sorted(LAYOUTS, key=lambda ranks: (ranks != BASE, ranks)):
        if ranks <= options.most:
            runs = [in_a_new_process(ranks) for _ in range(options.again)]
            if ranks == BASE:
                base = 1e3 * median(each["processor"] for each in runs) / BASE
            print(row(ranks, runs, base), flush=True)


if __name__ == "__main__":
    main()
