"""Compressed gradients: what is sent and the residual are the gradient, replicas are equal in bits, the loss
falls as with whole gradients, and messages are as short as predicted.
"""

from __future__ import annotations

import numpy as np
import pytest

from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.comm.wrappers.counting import Counting
from minipar.config import COMPRESSED, Layout, TrainConfig
from minipar.errors import LayoutError
from minipar.nn import Parameter, Start
from minipar.optim import Flat
from minipar.parallel.codes import CODES
from minipar.parallel.compressed import CompressedReducer
from minipar.rng import stream
from minipar.training.build import require_trainable
from tests.parallel.test_sharded import trainer_on
from tests.proof.proofs import on_threads
from tests.ranks import ranks
from tests.refusals import refused


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CODES)
def test_sent_and_residual_are_the_values_to_one_rounding(name: str, dtype: str) -> None:
    code, unit = CODES[name], np.finfo(dtype).eps
    for n in (0, 1, 7, 8, 9, 300):
        for values in (stream(n, "values").standard_normal(n), np.zeros(n), np.full(n, -3.0),
                       stream(n, "wide").standard_normal(n) ** 9):
            values = values.astype(dtype)
            coded = code.encode(values)
            sent = code.decode(coded, n, values.dtype)
            residual = values - sent
            assert coded.nbytes == code.nbytes(n, values.dtype) and sent.dtype == values.dtype
            assert (abs(sent + residual - values) <= unit * np.maximum(abs(sent), abs(residual))).all()
            if name == "int8" and n:
                assert abs(residual).max() <= 0.51 * abs(values).max() / 127


def test_a_value_that_is_not_finite_stays_visible() -> None:
    for name, code in CODES.items():
        for bad in (np.nan, np.inf):
            values = np.array([1.0, bad, 2.0])
            with np.errstate(all="ignore"):
                assert not np.isfinite(code.decode(code.encode(values), 3, values.dtype)).any(), name


@ranks(1, 2, 3, mpi=[3])
@pytest.mark.parametrize("name", COMPRESSED)
def test_nothing_is_lost_over_many_steps(comm: Communicator, name: str) -> None:
    """The sum of what was applied, and the residuals of all ranks, is the sum of all gradients."""
    p = Parameter("w", (5, 7), Start())
    p.initialise(0, np.dtype(np.float64))
    flat = Flat([p])
    reducer = CompressedReducer(flat, comm, False, name)
    applied = np.zeros(35)
    for step in range(20):
        for rank in range(comm.size):
            gradient = stream(rank, "g", step).standard_normal((5, 7))
            if rank == comm.rank:
                p.zero_grad()
                p.accumulate(gradient)
        reducer.finish()
        applied += flat.grad
    given = sum(stream(rank, "g", step).standard_normal(35) for rank in range(comm.size)
                for step in range(20))
    mine = reducer.residual.copy()
    start = sum(reducer.counts[0][:comm.rank])
    mine[start:start + len(reducer.sum_residuals[0])] += reducer.sum_residuals[0]
    everything = np.stack([comm.sendrecv(mine, comm.rank, np.empty(35), comm.rank)]
                          + [comm.sendrecv(mine, (comm.rank + d) % comm.size, np.empty(35),
                                           (comm.rank - d) % comm.size) for d in range(1, comm.size)])
    np.testing.assert_allclose(applied + everything.sum(axis=0), given, atol=1e-12)


@pytest.mark.parametrize("layout", [Layout(dp=3, tp=2, gradients="int8"),
                                    Layout(dp=2, pp=2, gradients="1bit")])
def test_verify_covers_what_is_not_rounded(layout: Layout) -> None:
    report = on_threads(layout, layers=2)
    items = {one.item for one in report.findings}
    assert report.proven, (report.failed_checks, report.explanations)
    assert {"forward", "backward", "feedback", "memory", "replicas", "resume"} <= items
    assert not items & {"gradients", "first update"}


def test_messages_are_short_and_the_loss_falls() -> None:
    """Bytes of the gradients of a step, and losses after 3 steps of AdamW, beside those of float64."""
    def train(comm: Communicator, gradients: str) -> tuple[float, float, int]:
        counting = Counting(comm)
        trainer = trainer_on(counting, Layout(dp=2, gradients=gradients), lr=1e-2, layers=1)
        losses = [trainer.step().loss for _ in range(3)]
        sent = sum(tally.bytes for (label,), tally in counting.traffic.by("label").items()
                   if label == "gradients")
        return losses[0], losses[-1], sent

    first, exact, whole = run(2, train, "flat")[0]
    for name, factor in (("int8", 7.9), ("1bit", 55)):
        start, end, sent = run(2, train, name)[0]
        assert start == first and end < start and abs(end - exact) < 0.2 * abs(first - exact)
        assert whole > factor * sent


def test_float16_and_zero_are_refused() -> None:
    with pytest.raises(LayoutError, match="loss scale"):
        require_trainable(Layout(dp=2, gradients="int8"), TrainConfig(precision="float16"))
    with refused(LayoutError, item="gradients"):
        Layout(dp=2, zero=1, gradients="1bit")
