"""ZeRO trains as one process does, sends what is predicted, and holds what the ledger says: a sample on
threads, one more under mpirun, and the cases of the mutants. The whole grid: `python -m
tests.proof.sharding`.
"""

from __future__ import annotations

from typing import Any

import pytest

from minipar.comm.collectives import select
from minipar.comm.protocol import Communicator
from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.nn.counts import parameter_count
from minipar.plan.traffic import step_traffic
from minipar.proof import prove, uneven_case
from tests.proof.proofs import SMALL, on_threads
from tests.proof.sharding import grid
from tests.ranks import ranks

SAMPLE: list[tuple[Layout, dict[str, Any]]] = [
    (Layout(dp=5, zero=2), {}),                                     # two ranks with fewer micro-batches
    (Layout(dp=3, tp=2, zero=3, sequence_parallel=True), dict(layers=2, dropout=0.1)),
    (Layout(dp=2, pp=2, zero=2, pipeline="zb-v"), dict(layers=5, micro_batches=2)),
    (Layout(dp=2, pp=2, zero=3), dict(layers=3, recompute="full", micro_batches=2)),
]


def test_the_grid_is_the_promised_one() -> None:
    axes = {(one.layout.zero, one.layout.dp, one.layout.tp, one.layout.pp, one.values["micro_batches"])
            for one in grid()}
    assert len(axes) == 4 * 3 * 2 * 2 * 2


@pytest.mark.parametrize("layout, values", SAMPLE)
def test_a_sharding_is_one_process(layout: Layout, values: dict[str, Any]) -> None:
    report = on_threads(layout, **values)
    assert report.proven, (layout, report.failed_checks, report.explanations)
    assert report.tolerance == 1e-12 and {"memory", "replicas"} <= {one.item for one in report.findings}


UNDER_MPIRUN: dict[int, list[tuple[Layout, dict[str, Any]]]] = {
    4: [(Layout(dp=2, tp=2, zero=3), dict(layers=2)), (Layout(dp=2, pp=2, zero=3), dict(layers=3)),
        (Layout(dp=4, zero=1), dict(bias=False))],
    6: [(Layout(dp=3, pp=2, zero=2), dict(layers=3, tied=False))],
}


@ranks(*UNDER_MPIRUN, engines=["mpi"])
def test_shardings_under_mpirun(comm: Communicator) -> None:
    for layout, values in UNDER_MPIRUN[comm.size]:
        report = prove(comm, uneven_case(layout, **SMALL | values))
        assert report.proven, (layout, values, report.failed_checks, report.explanations)


@pytest.mark.parametrize("dp", [2, 4])
@pytest.mark.parametrize("pieces", [1, 3])
@pytest.mark.parametrize("zero", [1, 2, 3])
def test_volumes_are_those_of_the_papers(dp: int, pieces: int, zero: int) -> None:
    """Elements per rank and step, n c with c = (p - 1)/p: 2 for stages 1 and 2, 3 for stage 3; over m
    micro-batches stage 2 reduces m times, and stage 3 does all of it m times.
    """
    model = ModelConfig(vocabulary=64, context=8, layers=2, heads=4, width=16)
    train = TrainConfig(batch=dp * 3, micro_batches=pieces, dtype="float32")
    times = {1: 2, 2: 1 + pieces, 3: 3 * pieces}[zero]
    for rank in range(dp):
        lines = step_traffic(model, train, Layout(dp=dp, zero=zero), rank, select)
        sent = sum(amount.bytes for line, amount in lines.items() if line.op != "all_reduce sum")
        assert sent == 4 * times * parameter_count(model) * (dp - 1) // dp
