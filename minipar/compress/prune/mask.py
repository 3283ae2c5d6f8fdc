"""Defines masks of kept weights, and an optimiser that keeps the dropped weights at zero.

It is not enough to set weights to zero once: in the next optimiser step, the gradient and the momentum change
them. So a mask is applied to weights, gradients and optimiser state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from minipar.errors import ConfigError, ShapeError
from minipar.optim import Flat, Optimizer


@dataclass(frozen=True)
class Mask:
    """A mask of weights. keep: parameter name -> a bool array of its shape, True for kept weights.

    Parameters without an entry are not pruned. With tensor parallelism, a mask covers only this rank's
    shards. Then add the counts of all ranks of tp to get the counts of the whole parameters.
    """

    keep: Mapping[str, np.ndarray]

    @property
    def size(self) -> int:
        """The number of weights in the parameters of the mask."""
        return sum(keep.size for keep in self.keep.values())

    @property
    def dropped(self) -> int:
        """The number of dropped weights."""
        return sum(keep.size - int(np.count_nonzero(keep)) for keep in self.keep.values())

    @property
    def sparsity(self) -> float:
        """The fraction of dropped weights. It is 0 for an empty mask."""
        return self.dropped / max(self.size, 1)

    def apply(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Set dropped elements to zero in place. arrays: name -> weights or gradients. All names of the mask
        must be in it.

        Raises ShapeError, and changes nothing, if an array is missing or has another shape.
        """
        for name, keep in self.keep.items():
            if name not in arrays:
                raise ShapeError(f"the mask is for {name}, which is not among "
                                 f"{', '.join(list(arrays)[:3]) or 'nothing'}", item=name)
            if arrays[name].shape != keep.shape:
                raise ShapeError(f"the mask of {name} has shape {keep.shape}, the array {arrays[name].shape}",
                                 item=name)
        for name, keep in self.keep.items():
            np.copyto(arrays[name], 0, where=~keep)                 # a product would keep NaN

    def __and__(self, other: Mask) -> Mask:
        """Returns a mask that keeps a weight if both masks keep it."""
        both = {name: keep & other.keep[name] if name in other.keep else keep
                for name, keep in self.keep.items()}
        return Mask({**other.keep, **both})


class Masked(Optimizer):
    """Wraps an optimiser, so that dropped weights stay zero.

    The gradient of a dropped weight is set to zero before each step. Its optimiser state is set to zero when
    the mask is set. So every update of minipar.optim is exactly zero for this weight, also with weight decay.
    Masked can replace any optimiser, also in a Trainer: `Trainer(..., optimizer=lambda flat:
    Masked(AdamW(flat), mask))`. If a gradient norm for clipping is computed before the step, it includes the
    gradients of dropped weights. To avoid this, apply the mask to the gradient first. Raises ConfigError if
    ZeRO shards the weights over ranks.
    """

    flat: Flat

    def __init__(self, optimizer: Optimizer, mask: Mask):
        if not isinstance(optimizer.flat, Flat):
            raise ConfigError("a mask is for whole weights, and ZeRO shards them; choose zero=0")
        self.inner = optimizer
        self.flat, self.weight_decay, self.state = optimizer.flat, optimizer.weight_decay, optimizer.state
        self.use(mask)

    def use(self, mask: Mask) -> None:
        """Set the mask. Dropped weights and their optimiser state become zero. Raises the errors of `apply`.
        """
        self.mask = mask
        for buffer in (self.flat.data, *self.state.values()):
            mask.apply(self.flat.by_name(buffer))

    @property
    def steps(self) -> int:
        """The number of steps of the inner optimiser, including steps before the mask was set."""
        return self.inner.steps

    @steps.setter
    def steps(self, steps: int) -> None:
        self.inner.steps = steps

    def step(self, lr: float) -> None:
        self.mask.apply(self.flat.by_name(self.flat.gradient()))
        self.inner.step(lr)
