"""Defines the result of one training step."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StepResult:
    """Holds the result of one training step.

    * step is the index of the training step, from 0.
    * loss is in nats per counted target.
    * lr is the learning rate.
    * norm is the norm of the gradient before clipping.
    * seconds is the wall-clock time.
    * tokens is the number of tokens in the global batch, including padding.
    * scale is the loss scale of mixed precision.
    * skipped is true if the scaled gradient overflowed, and no weight was changed.
    """

    step: int
    loss: float
    norm: float
    lr: float
    seconds: float
    tokens: int
    scale: float = 1.0
    skipped: bool = False
