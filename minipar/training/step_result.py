"""What one training step returns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StepResult:
    """The result of one training step. loss: nats per target that counts. norm: of the gradient before
    clipping. seconds: wall-clock time.

    tokens: of the global batch, padding included. scale: the loss scale of mixed precision. skipped: the
    scaled gradient overflowed, and no weight was changed.
    """

    step: int
    loss: float
    norm: float
    lr: float
    seconds: float
    tokens: int
    scale: float = 1.0
    skipped: bool = False
