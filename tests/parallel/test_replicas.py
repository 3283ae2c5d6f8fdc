"""60 steps of AdamW in float32: what several ranks hold whole stays equal in every bit, and so do the losses.
"""

from __future__ import annotations

import pytest

from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.parallel.grid import Grid
from minipar.proof.case import text_of
from minipar.proof.replicas import fingerprint
from minipar.training.trainer import Trainer
from tests.proof.fuzz import links

MODEL = ModelConfig(vocabulary=13, context=60, layers=1, heads=3, width=12, hidden=11)
TRAIN = TrainConfig(steps=60, batch=3, lr=1e-2, warm_up=5, clip=0.5, dtype="float32")


@pytest.mark.parametrize("gradients", ["flat", "shared", "buckets"])
def test_replicas_never_drift_apart(gradients: str) -> None:
    """dp 3 x tp 2 with uneven shards, and links so fast that short arrays travel by chunks."""
    layout = Layout(dp=3, tp=2, gradients=gradients, bucket_bytes=6000)

    def train(world: Communicator) -> tuple[list[float], dict[str, str]]:
        trainer = Trainer(MODEL, TRAIN, *text_of(MODEL.vocabulary), Grid(world, layout))
        losses = [trainer.step().loss for _ in range(TRAIN.steps)]
        arrays = trainer.flat.by_name(trainer.flat.data)
        part = {p.name: f"{p.name}, part {trainer.grid.at['tp'] if p.is_sharded else 'all'}"
                for p in trainer.flat.parameters}
        return losses, {part[name]: fingerprint(array) for name, array in arrays.items()}

    with links(1e-8):
        ranks = run(layout.ranks, train, checked=False)
    assert all(losses == ranks[0][0] for losses, _ in ranks) and ranks[0][0][-1] < ranks[0][0][0]
    for name in {name for _, held in ranks for name in held}:
        assert len({held[name] for _, held in ranks if name in held}) == 1, name
