"""What the loss is divided by: the targets of the global batch that count, for every layout and however the
batch is cut.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minipar.autograd import IGNORE, backward
from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.data.batches import Batch
from minipar.errors import DataError
from minipar.nn import GPT
from minipar.optim import Flat
from minipar.parallel.grid import Grid
from minipar.proof.case import text_of
from minipar.training.build import TrainingData
from minipar.training.trainer import Trainer

V, T, B, LR = 13, 6, 5, 0.5
MODEL = ModelConfig(vocabulary=V, context=T, layers=2, heads=2, width=8, hidden=12)
LAYOUTS = [Layout(), Layout(dp=2), Layout(dp=3, gradients="buckets"), Layout(dp=4, gradients="parameter"),
           Layout(tp=2), Layout(pp=2), Layout(dp=2, gradients="bitwise"), Layout(dp=2, gradients="shared"),
           Layout(dp=2, pp=2, tp=2), Layout(tp=2, sequence_parallel=True)]
PADDING = np.random.default_rng(0).random((B, T))
# What is padding: nothing, a quarter, nearly all, and all that the first rank of dp and the first micro-batch
# have.
PADDED = {"none": PADDING < 0, "some": PADDING < 0.25, "most": PADDING < 0.9,
          "first samples": np.arange(B)[:, None] < [[3]]}


class Fixed:
    """The same batch at every step, and as the only windows of validation."""

    def __init__(self, padding: np.ndarray):
        rng = np.random.default_rng(1)
        inputs, targets = rng.integers(V, size=(2, B, T))
        self.batch = inputs, np.where(np.broadcast_to(padding, (B, T)), IGNORE, targets)

    def get(self, step: int) -> Batch:
        return self.batch

    def __iter__(self) -> Any:
        inputs, targets = self.batch
        return iter([(inputs[:2], targets[:2]), (inputs[2:], targets[2:])])


def make(world: Communicator, layout: Layout, padding: np.ndarray, **values: Any) -> Trainer:
    plain: dict[str, Any] = dict(batch=B, optimizer="sgd", lr=LR, schedule="constant", warm_up=0, clip=0.0,
                                 weight_decay=0.0, dtype="float64")
    train = TrainConfig(**plain | values)
    data: Any = TrainingData(Fixed(padding), Fixed(padding))         # type: ignore[arg-type]
    return Trainer(MODEL, train, *text_of(V), Grid(world, layout), data=data)


def expected(padding: np.ndarray) -> tuple[float, dict[str, np.ndarray]]:
    """The mean over the targets that count, worked out row by row, and the weights after a step along its
    gradient.
    """
    model, (inputs, targets) = GPT(MODEL, dtype=np.float64), Fixed(padding).batch
    flat = Flat(model.parameters())
    logits = model(inputs).data
    losses = [np.log(np.exp(logits[b, t]).sum()) - logits[b, t, targets[b, t]]
              for b, t in np.argwhere(targets != IGNORE)]
    backward(model.loss(inputs, targets, count=1))                   # the gradient of the sum
    gradients = flat.by_name(flat.gradient())
    return float(np.mean(losses)), {p.name: p.data - LR * gradients[p.name] / len(losses)
                                    for p in flat.parameters}


@pytest.mark.parametrize("padded", PADDED)
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_the_loss_is_the_mean_over_targets_that_count(layout: Layout, padded: str) -> None:
    padding = np.broadcast_to(PADDED[padded], (B, T))
    loss, weights = expected(padding)

    def step(world: Communicator, pieces: int) -> tuple[float, float, dict[str, np.ndarray]]:
        trainer = make(world, layout, padding, micro_batches=pieces)
        before = trainer.validate()
        return trainer.step().loss, before, trainer.state()[0]

    for pieces in (1, 3):
        for rank, (got, validation, state) in enumerate(run(layout.ranks, step, pieces)):
            assert got == pytest.approx(loss, rel=1e-12) and validation == pytest.approx(loss, rel=1e-12)
            for name in weights if rank == 0 else ():
                np.testing.assert_allclose(state[f"weights/{name}"], weights[name], rtol=0, atol=1e-12)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_a_batch_without_a_target_that_counts_is_one_error_on_every_rank(layout: Layout) -> None:
    def try_it(world: Communicator) -> list[str]:
        trainer, said = make(world, layout, np.ones((B, T), bool)), []
        before = trainer.flat.data.copy()
        for what in (trainer.step, trainer.validate):
            with pytest.raises(DataError, match=f"all {B * T} targets") as error:
                what()
            said.append(str(error.value))
        assert trainer.steps_done == 0 and (trainer.flat.data == before).all()
        return said

    found = run(layout.ranks, try_it)
    assert all(one == found[0] for one in found) and "batch 0" in found[0][0] and "validation" in found[0][1]
