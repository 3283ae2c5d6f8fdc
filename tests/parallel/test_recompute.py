"""Recomputation changes no bit of a training, whatever communicates inside of what is computed again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minipar.comm.protocol import Communicator
from minipar.comm.wrappers.counting import Counting
from minipar.config import Layout
from minipar.parallel import Grid
from minipar.parallel.tensor import region_of
from minipar.proof.case import RUNS, STEPS, make_trainer, uneven_case
from tests.ranks import ranks

MODES = ("selective", "full")
TRAININGS = [how for how in RUNS if how != "text"]                  # "text" trains as "SGD" does


def trained(comm: Communicator, how: str, layout: Layout, **values: Any) -> list[np.ndarray]:
    """This rank's weights and gradient after a few steps, and the losses; nothing divides, and there is
    dropout.
    """
    case = uneven_case(layout, **dict(layers=3, context=9, dropout=0.1) | values)
    grid = Grid(comm, layout)
    trainer = make_trainer(case, how, grid, region_of(grid.tp, case.model.context, layout.sequence_parallel))
    losses = [trainer.step().loss for _ in range(STEPS)]
    return [trainer.flat.data, trainer.flat.grad, np.array(losses)]


def same_bits(some: list[np.ndarray], others: list[np.ndarray]) -> bool:
    return [array.tobytes() for array in some] == [array.tobytes() for array in others]


@ranks(2, 3, mpi=[3])
@pytest.mark.parametrize("sequence", [False, True])
@pytest.mark.parametrize("how", TRAININGS)
def test_tensor_parallel(comm: Communicator, how: str, sequence: bool) -> None:
    layout = Layout(tp=comm.size, sequence_parallel=sequence)
    plain = trained(comm, how, layout)
    for mode in MODES:
        assert same_bits(trained(comm, how, layout, recompute=mode), plain)
    assert not same_bits(trained(comm, how, layout, seed=1), plain)


@ranks(2, 3, mpi=[3])
@pytest.mark.parametrize("tied", [False, True])
def test_buckets_leave_when_their_parameters_are_complete(comm: Communicator, tied: bool) -> None:
    """Each parameter's hook fires once per backward; the reducer hangs for ever, or sums too early, where one
    does not.
    """
    layout = Layout(dp=comm.size, gradients="buckets", bucket_bytes=3000)
    plain = trained(comm, "SGD", layout, tied=tied)
    for mode in MODES:
        assert same_bits(trained(comm, "SGD", layout, tied=tied, recompute=mode), plain)


@ranks(2, 4, mpi=[2])
@pytest.mark.parametrize("schedule", ["1f1b", "interleaved", "zb-h1", "zb-v"])
def test_pipelines(comm: Communicator, schedule: str) -> None:
    """The zero-bubble ones put weight gradients off, also those of what is computed again."""
    layout = Layout(pp=2, tp=comm.size // 2, sequence_parallel=comm.size > 2, pipeline=schedule)
    plain = trained(comm, "AdamW", layout, layers=4)
    for mode in MODES:
        assert same_bits(trained(comm, "AdamW", layout, layers=4, recompute=mode), plain)


@ranks(2)
def test_the_second_run_communicates_as_the_first_did(comm: Communicator) -> None:
    """Full recomputation does the blocks' forward communication twice; selective has none inside."""
    def calls(mode: str) -> dict[str, int]:
        counting = Counting(comm)
        trained(counting, "SGD", Layout(tp=2), recompute=mode, micro_batches=1)
        return {label: tally.calls for (group, label), tally in counting.traffic.by("group", "label").items()
                if group == "tp"}

    plain = calls("none")
    assert calls("selective") == plain
    again = {label for label in plain if label.startswith("blocks") and label.endswith(" forward")}
    twice = {label: count * (2 if label in again else 1) for label, count in plain.items()}
    assert calls("full") == twice and sum(twice.values()) == sum(plain.values()) + 3 * 2 * STEPS
