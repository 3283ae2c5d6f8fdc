"""Loss scaling multiplies gradients so that float16 can hold the small ones. It divides them before the step.

The smallest number of float16 is 2**-24. Smaller gradients become zero, and gradients above 65504 become
infinite. Multiplying the loss by a scale S multiplies every gradient by S. The best S changes during
training. So the rule of Micikevicius et al. (2018) doubles S after a number of good steps (steps with finite
gradients). If a gradient is not finite, the rule skips the step and halves S.
"""

# n: number of elements of the gradient

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from minipar.config import MOST_STEPS
from minipar.errors import ConfigError, shown
from minipar.precision.formats import FLOAT16, Format
from minipar.records import require_types


@dataclass
class LossScale:
    """Holds the loss scale and the state of its rule. growth_every: the number of good steps after which the
    scale doubles; 0 for a static scale.

    patience: the number of skipped steps in a row after which the training is `hopeless`. After 24 such
    steps, 2**16 has become 2**-8. skipped: the number of skipped steps so far. in_a_row: the number of
    skipped steps since the last good step. Raises ConfigError for a scale that is not a positive number.
    """

    scale: float = 2.0**16
    growth_every: int = 2000
    patience: int = 24
    good: int = 0  # good steps since the last change of the scale
    skipped: int = 0
    in_a_row: int = 0

    def __post_init__(self) -> None:
        require_types(self)
        if not 0 < self.scale < math.inf:
            raise ConfigError(f"the loss scale is {self.scale}; it must be a positive number")
        for name in ("growth_every", "patience", "good", "skipped", "in_a_row"):
            if not 0 <= getattr(self, name) <= MOST_STEPS:
                raise ConfigError(f"{name} is {shown(getattr(self, name))}; it must be a number of steps",
                                  item=name)

    def unscale(self, gradient: np.ndarray) -> None:
        """Divide a gradient [n] by the scale in place. The result is exact if the scale is a power of two."""
        if self.scale != 1:
            gradient *= 1 / self.scale

    def update(self, finite: bool) -> bool:
        """Update the scale once per step. finite: True if all gradients of all ranks are finite. Returns True
        if the optimiser must take the step.

        All ranks must pass the same value. Otherwise their weights and scales differ afterwards. The norm of
        the whole gradient gives this value, because a NaN or an infinity on any rank makes the norm NaN or
        infinite on all ranks.
        """
        if not finite:
            self.skipped, self.in_a_row, self.good = self.skipped + 1, self.in_a_row + 1, 0
            self.scale /= 2 if self.growth_every else 1
            return False
        self.in_a_row, self.good = 0, self.good + 1
        if self.growth_every and self.good == self.growth_every:
            self.scale, self.good = self.scale * 2, 0
        return True

    @property
    def hopeless(self) -> bool:
        """True if so many steps in a row were skipped that the scale cannot be the cause."""
        return self.in_a_row >= self.patience

    def state(self) -> dict[str, Any]:
        """Returns the state for a checkpoint. LossScale(**state) continues from this state."""
        return asdict(self)


def loss_scale_of(format: Format, static: float = 0) -> LossScale:
    """Returns the loss scale for a format. For float16 it is dynamic, or static if a scale is given. For
    other formats it is always 1.

    Formats with the range of float32 lose no gradients. So the first gradient that is not finite makes the
    training hopeless.
    """
    if format is not FLOAT16:
        return LossScale(1.0, growth_every=0, patience=1)
    return LossScale(static, growth_every=0) if static else LossScale()
