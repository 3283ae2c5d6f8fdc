"""Makes one gradient overflow on one rank only. All ranks must then skip the step together.

In float16, a gradient of one rank can be infinite while the gradients of all other ranks are finite. If each
rank looks only at its own gradient, some ranks take the step and others skip it.
"""

from __future__ import annotations

import numpy as np

from minipar.comm.collectives.gather_values import gathered
from minipar.training.trainer import Trainer


def overflow_in_next_step(trainer: Trainer) -> None:
    """Make one element of the gradient infinite in the next call of `trainer.gradient`. All ranks of the
    trainer's grid call this function, and then run the step.

    The element belongs to a matrix that tp shards, in the last layer. Only its owner has the infinite value:
    one rank of tp and pp, and with ZeRO also one rank of dp.
    """
    original = trainer.gradient

    def overflowed(inputs: np.ndarray, targets: np.ndarray) -> float:
        loss = original(inputs, targets)
        del vars(trainer)["gradient"]                               # later steps are right again
        _overflow(trainer)
        return loss

    vars(trainer)["gradient"] = overflowed


def _overflow(trainer: Trainer) -> None:
    grid, name = trainer.grid, f"blocks.{trainer.model.layers - 1}.mlp.down.weight"
    own = [gradient for p, gradient in trainer.store.own_gradients() if p.name == name and len(gradient)]
    owners = [rank for rank, owns in enumerate(gathered(grid.dp, bool(own), "verify overflow")) if owns]
    # with ZeRO the owners have different elements; without ZeRO they have replicas
    chosen = owners[:1] if grid.layout.zero else owners
    if grid.dp.rank in chosen and grid.tp.rank == 0:
        own[0][0] = np.inf
