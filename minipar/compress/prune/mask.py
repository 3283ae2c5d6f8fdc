"""Which weights stay, and how they keep out of the way of fine-tuning.

Setting weights to zero is not enough: the next optimiser step moves them again, by their gradient and by what
momentum still holds of older ones. So pruning is a mask, an object of its own, that is applied to weights,
gradients and optimiser state alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from minipar.errors import ShapeError
from minipar.optim import Optimizer


@dataclass(frozen=True)
class Mask:
    """keep: a parameter's name -> a bool array of its shape, True where the weight stays.

    Parameters without an entry are not pruned. Under tensor parallelism the arrays are of this rank's parts,
    and so are the counts; add both counts up over tp for those of the whole.
    """

    keep: Mapping[str, np.ndarray]

    @property
    def size(self) -> int:
        """Weights that the mask speaks of."""
        return sum(keep.size for keep in self.keep.values())

    @property
    def dropped(self) -> int:
        """How many of them go."""
        return sum(keep.size - int(np.count_nonzero(keep)) for keep in self.keep.values())

    @property
    def sparsity(self) -> float:
        """The fraction that goes, 0 for a mask of nothing."""
        return self.dropped / max(self.size, 1)

    def apply(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Set to zero, in place, what does not stay. arrays: by name, at least those of the mask: weights or
        gradients.

        Raises ShapeError, and changes nothing, where one is missing or of another shape.
        """
        for name, keep in self.keep.items():
            if name not in arrays:
                raise ShapeError(f"the mask is for {name}, which is not among "
                                 f"{', '.join(list(arrays)[:3]) or 'nothing'}", item=name)
            if arrays[name].shape != keep.shape:
                raise ShapeError(f"the mask of {name} has shape {keep.shape}, the array {arrays[name].shape}",
                                 item=name)
        for name, keep in self.keep.items():
            np.copyto(arrays[name], 0, where=~keep)                 # not a product: NaN times zero is NaN

    def __and__(self, other: Mask) -> Mask:
        """What stays by both masks."""
        both = {name: keep & other.keep[name] if name in other.keep else keep for name,
                keep in self.keep.items()}
        return Mask({**other.keep, **both})


class Masked(Optimizer):
    """An optimiser that keeps a mask: its steps never bring a dropped weight back, whatever the optimiser.

    The gradient of a dropped weight is set to zero before each step, its state when the mask comes. Then
    every update of minipar.optim is exactly zero there, and weight decay of zero is zero. It stands in for
    the optimiser anywhere, in a Trainer too: `Trainer(..., optimizer=lambda flat: Masked(AdamW(flat),
    mask))`. A gradient norm taken before the step, for clipping, still counts the dropped weights, unless the
    mask was applied to the gradient first.
    """

    def __init__(self, optimizer: Optimizer, mask: Mask):
        self.inner = optimizer
        self.flat, self.weight_decay, self.state = optimizer.flat, optimizer.weight_decay, optimizer.state
        self.use(mask)

    def use(self, mask: Mask) -> None:
        """Keep this mask from now on: weights and optimiser state become zero where it drops. Raises
        ShapeError as apply.
        """
        self.mask = mask
        for buffer in (self.flat.data, *self.state.values()):
            mask.apply(self.flat.by_name(buffer))

    @property
    def steps(self) -> int:
        """Steps taken, those before the mask came included."""
        return self.inner.steps

    @steps.setter
    def steps(self, steps: int) -> None:
        self.inner.steps = steps

    def step(self, lr: float) -> None:
        self.mask.apply(self.flat.by_name(self.flat.gradient()))
        self.inner.step(lr)
