"""Loss scaling: gradients too small for float16 are multiplied into its range, and divided again before the
step.

Gradients are often below 2**-24, the least number of float16, and vanish; above 65504 they become infinite.
Multiplying the loss by a scale S multiplies every gradient by S, so the window moves. The right S changes
during training. Hence the rule of Micikevicius et al. (2018): double it after so many good steps; if a
gradient is not finite, skip that step and halve it.
"""

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
    """The scale, and what it must remember. `growth_every` good steps double it; 0: it is static and never
    changes.

    patience: how many steps in a row may be skipped until it is `hopeless`; with 24, 2**16 has been halved to
    2**-8. skipped: steps skipped so far; in_a_row: of these, since the last good one. Raises ConfigError for
    a scale that is no positive number.
    """

    scale: float = 2.0**16
    growth_every: int = 2000
    patience: int = 24
    good: int = 0                                                   # steps since the scale last changed
    skipped: int = 0
    in_a_row: int = 0

    def __post_init__(self) -> None:
        require_types(self)
        if not 0 < self.scale < math.inf:
            raise ConfigError(f"the loss scale is {self.scale}; it must be a positive number")
        for name in ("growth_every", "patience", "good", "skipped", "in_a_row"):
            if not 0 <= getattr(self, name) <= MOST_STEPS:
                raise ConfigError(f"{name} is {shown(getattr(self, name))}; it must be a number of steps")

    def unscale(self, gradient: np.ndarray) -> None:
        """Divide a gradient [n] by the scale, in place; exact where the scale is a power of two."""
        if self.scale != 1:
            gradient *= 1 / self.scale

    def update(self, finite: bool) -> bool:
        """Called once per step: whether all gradients, of all ranks, are finite. Returns whether to take the
        step.

        All ranks must give the same answer, or their weights and scales part. A sum over ranks brings it
        about: NaN and infinity survive every sum, so it is enough to ask for the finiteness of the norm of
        the whole gradient.
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
        """Whether so many steps in a row were skipped that the scale cannot be what is wrong."""
        return self.in_a_row >= self.patience

    def state(self) -> dict[str, Any]:
        """For a checkpoint: LossScale(**state) goes on from there."""
        return asdict(self)


def loss_scale_of(format: Format, static: float = 0) -> LossScale:
    """What a training in this format needs: a dynamic scale for float16, or a static one where it is given;
    none elsewhere.

    Formats with the range of float32 lose no gradients. A gradient that is not finite is hopeless there at
    once.
    """
    if format is not FLOAT16:
        return LossScale(1.0, growth_every=0, patience=1)
    return LossScale(static, growth_every=0) if static else LossScale()
