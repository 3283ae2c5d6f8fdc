"""Bugs of code that one process uses, too. The layout and the reference have the same bug, so they agree.

Only a comparison with differences of the loss, or with a definition, detects such a bug.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minipar.autograd.fused import attention
from minipar.data.batches import Batch, Batches
from minipar.optim.optimizers import Adam
from minipar.precision import LossScale
from minipar.proof.mutants.mutant import Change, mutant


@mutant("derivatives", dp=2, shared=True)
def softmax_gradient_without_its_mean() -> list[Change]:
    """The backward of attention forgets that weights sum to 1: it does not subtract the mean of the gradient
    over the keys.
    """
    return [Change(attention, "row_dot", lambda a, b: np.zeros(a.shape[:-1], a.dtype))]


@mutant("definitions", dp=2, shared=True)
def bias_correction_forgotten() -> list[Change]:
    """Adam does not correct the bias of its two means. So the first steps have wrong sizes."""
    original = Adam._move

    def move(optimizer: Adam, *arguments: Any) -> None:
        steps, optimizer.steps = optimizer.steps, 10**6             # the correction of late steps is 1
        original(optimizer, *arguments)
        optimizer.steps = steps
    return [Change(Adam, "_move", move)]


@mutant("definitions", dp=2, shared=True)
def scale_grows_after_an_overflow() -> list[Change]:
    """The rule of the loss scale does not start to count good steps again after an overflow. So the scale
    doubles too early, and the gradient overflows again.
    """
    original = LossScale.update

    def update(scale: LossScale, finite: bool) -> bool:
        good = scale.good
        taken = original(scale, finite)
        scale.good = scale.good if finite else good
        return taken
    return [Change(LossScale, "update", update)]


@mutant("definitions", dp=2, shared=True)
def batches_drawn_twice() -> list[Change]:
    """Two steps in a row train on the same batch."""
    original = Batches.get

    def get(batches: Batches, step: int) -> Batch:
        return original(batches, step // 2)
    return [Change(Batches, "get", get)]
