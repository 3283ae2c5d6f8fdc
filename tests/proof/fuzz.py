"""Random layouts, each proven against one process: results, replicas in bits, traffic as predicted.

    python -m tests.proof.fuzz [--seed 0] [--count 300] [--only NUMBER]

A layout depends on the seed and its number alone, so `--only` runs one of them again. Beside the grid, the
way to sum gradients and the sizes, which rarely divide, it draws what decides on the order of additions: the
nodes of the ranks, and links so fast that short arrays take the algorithms of long ones. `make test` runs a
sample (test_fuzz.py).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Any
from unittest.mock import patch

from minipar.comm.collectives import select
from minipar.comm.threads import run
from minipar.config import GRADIENTS, Layout
from minipar.errors import ConfigError
from minipar.plan.collective_times import Links
from minipar.proof import VerificationReport, make_reference, prove, uneven_case
from minipar.schedules.generators import SCHEDULES

PIPELINES = [name for name in SCHEDULES if name != "inference"]
WHERE_SELECT_IS = ("minipar.comm.collectives.select", "minipar.proof.algorithms")


@dataclass(frozen=True)
class Draw:
    """values: fields of ModelConfig and TrainConfig. latency: seconds per message that algorithms are chosen
    for.
    """

    layout: Layout
    values: dict[str, Any]
    nodes: tuple[int, ...] | None
    latency: float


def draw(seed: int, number: int, ranks: int = 40) -> Draw:
    """Layout `number` of this seed, on at most so many ranks."""
    rng = Random(f"{seed} {number}")
    while True:
        dp, tp, pp = rng.randint(1, 5), rng.randint(1, 4), rng.randint(1, 2)
        if 1 < dp * tp * pp <= ranks:
            break
    pipeline = rng.choice(PIPELINES) if pp > 1 else "1f1b"
    layout = Layout(dp=dp, tp=tp, pp=pp, pipeline=pipeline, gradients=rng.choice(GRADIENTS),
                    sequence_parallel=tp > 1 and rng.random() < 0.5,
                    bucket_bytes=rng.choice((1, 2000, 8000, 1 << 20)))
    if layout.gradients == "flat":                                  # ZeRO has a sum of its own
        zero = rng.randint(0, 3)
        layout = replace(layout, zero=zero, reshard_after_forward=zero < 3 or rng.random() < 0.5)
    heads = rng.randint(tp, tp + 3)
    values: dict[str, Any] = dict(vocabulary=rng.randint(30, 90), context=rng.randint(max(5, tp), 40),
                                  heads=heads,
                  width=heads * rng.randint(4, 9), hidden=rng.randint(max(8, tp), 60),
                  batch=rng.randint(dp, dp + 4), tied=rng.random() < 0.6, bias=rng.random() < 0.7,
                  dropout=rng.choice((0.0, 0.0, 0.1)), recompute=rng.choice(("none", "none", "full")),
                  dtype=rng.choice(("float64", "float64", "float32")), seed=rng.randint(0, 9))
    values["micro_batches"] = rng.randint(1, min(3, values["batch"]))
    several = layout.gradients != "shared" and rng.random() < 0.5   # shared memory is on one node
    borders = sorted(rng.sample(range(1, layout.ranks), min(rng.randint(1, 3), layout.ranks - 1)))
    nodes = tuple(sum(rank >= border for border in borders) for rank in range(layout.ranks))
    return Draw(layout, values, nodes if several else None, latency=rng.choice((1e-5, 1e-6, 1e-7, 1e-8)))


@contextmanager
def links(latency: float) -> Iterator[None]:
    """Algorithms are chosen and predicted for messages of this latency; four times that between nodes."""
    chosen = partial(select, within=Links(latency, 0.15e-9, 0.05e-9),
                     between=Links(4 * latency, 0.8e-9, 0.05e-9))
    first, second = (patch.object(sys.modules[name], "select", chosen) for name in WHERE_SELECT_IS)
    with first, second:
        yield


def proof(case: Draw) -> VerificationReport:
    """Rank 0's report. Ranks do not compare their collectives, which would double their messages.

    float32 is too coarse for some of the small models, which make_reference refuses. They are proven in
    float64.
    """
    with links(case.latency):
        uneven = uneven_case(case.layout, **case.values)
        try:
            known = make_reference(uneven)
        except ConfigError:
            uneven = replace(uneven, train=replace(uneven.train, dtype="float64"))
            known = make_reference(uneven)
        return run(case.layout.ranks, lambda world: prove(world, uneven, known), nodes=case.nodes,
                   checked=False, timeout=120.0)[0]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--only", type=int, metavar="NUMBER", help="this layout alone")
    options = parser.parse_args()
    began, failed, kinds = time.perf_counter(), 0, Counter[str]()
    for number in range(options.count) if options.only is None else (options.only,):
        case = draw(options.seed, number)
        report = proof(case)
        kinds[case.layout.gradients] += 1
        if not report.proven:
            failed += 1
            print(f"NOT PROVEN: --seed {options.seed} --only {number}: {case}", *report.explanations,
                  *report.failed_checks, sep="\n  ", flush=True)
            print(*(one.wrong for one in report.traffic if one.wrong), sep="\n", flush=True)
    seconds = time.perf_counter() - began
    print(
        f"seed {options.seed}: {kinds.total() - failed} of {kinds.total()} layouts proven in {seconds:.0f} s; "
        f"{dict(kinds)}"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
