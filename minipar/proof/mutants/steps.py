"""Bugs of a training step: the norm for clipping, the learning rate and the optimiser's state.

tp: the number of tensor-parallel ranks. dp: the number of data-parallel ranks.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minipar.comm.collectives import all_reduce
from minipar.comm.protocol import Communicator
from minipar.optim import Flat, squared_norm
from minipar.proof.mutants.mutant import Change, after_init, mutant
from minipar.training import trainer as train
from minipar.training.trainer import Trainer


@mutant("norm", tp=2)
def norm_counts_replicas() -> list[Change]:
    """The squares of the gradients are summed over all ranks, so replicated parameters count tp times in the
    norm. Clipping starts too early.
    """
    def norm(flat: Flat, tp: Communicator, *others: Any) -> float:
        return math.sqrt(all_reduce(tp, np.array([squared_norm(flat.gradient())]),
                                    label="gradient norm").item())
    return [Change(train, "global_norm", norm)]


@mutant("norm", tp=2)
def norm_of_the_own_part() -> list[Change]:
    """Each rank clips its gradients by the norm of its own shards. So the clipping factor differs from rank
    to rank.
    """
    return [Change(train, "global_norm", lambda flat, *others: math.sqrt(squared_norm(flat.gradient())))]


@mutant("rates", dp=2)
def rate_times_dp() -> list[Change]:
    """The learning rate is multiplied by dp, although the global batch does not grow with dp."""
    def scale(trainer: Trainer, *arguments: Any, **options: Any) -> None:
        rate, dp = trainer.rate, trainer.grid.dp.size
        trainer.rate = lambda step: dp * rate(step)
    return [after_init(Trainer, scale)]


@mutant("AdamW losses", dp=2)
def steps_counted_apart() -> list[Change]:
    """The optimisers of the replicas count different numbers of steps. So Adam's bias corrections differ. A
    restart that restores only one rank has this effect.
    """
    def count(trainer: Trainer, *arguments: Any, **options: Any) -> None:
        trainer.optimizer.steps = 10 * trainer.grid.at["dp"]
    return [after_init(Trainer, count)]


@mutant("AdamW losses", tp=2)
def state_of_another_rank() -> list[Change]:
    """One rank starts with a different optimiser state. A restart from another rank's file has this effect.
    """
    def fill(trainer: Trainer, *arguments: Any, **options: Any) -> None:
        for buffer in trainer.optimizer.state.values():
            buffer += 1e-3 * trainer.grid.at["tp"]
    return [after_init(Trainer, fill)]


@mutant("AdamW losses", tp=2)
def biases_decay() -> list[Change]:
    """Weight decay is applied to biases and LayerNorms, although it is only for matrices."""
    def decay(trainer: Trainer, *arguments: Any, **options: Any) -> None:
        trainer.flat.decayed = slice(0, len(trainer.flat.data))
    return [after_init(Trainer, decay)]
