"""Selects the ops that compute in 16 bits, and counts the numbers that overflow or become zero.

For an op in 16 bits, the inputs are rounded, the op runs in float32, and the result is rounded. So sums
inside the op are float32 sums. Backward rounds gradients in the same way, before and after the op. The code
of the op is not changed (Micikevicius et al. 2018, "Mixed precision training").
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from minipar.autograd import Tensor
from minipar.autograd.autocast_hook import casting
from minipar.autograd.tensor import record
from minipar.precision.formats import FLOAT32, Format

# op -> True if it computes in 16 bits. Matrix products are True, because they take most of the time, and the
# rounding errors of their terms average out. GELU is True, like the products around it. An op computes in
# float32 if it adds many numbers, adds exponentials, or adds to the residual stream, which runs through all
# layers. Attention is one op. The operands and results of its products have 16 bits, but its softmax is
# computed in float32.
IN_16_BITS: Mapping[str, bool] = {
    "linear": True, "unembedding": True, "matmul": True, "causal_attention": True, "gelu": True,
    "embedding": False, "add_bias": False, "layernorm": False, "cross_entropy": False,
}


@dataclass
class RoundingTally:
    """Counts how many numbers were rounded, how many of them became infinite, and how many became zero.

    If recomputation rounds numbers again, they are counted again.
    """

    numbers: int = 0
    overflows: int = 0
    underflows: int = 0

    def add(self, before: np.ndarray, after: np.ndarray) -> None:
        self.numbers += before.size
        # subtract numbers that were infinite before; usually there are none
        if infinite := np.count_nonzero(np.isinf(after)):
            self.overflows += int(infinite - np.count_nonzero(np.isinf(before)))
        self.underflows += int(np.count_nonzero(before) - np.count_nonzero(after))


class Autocast:
    """In a block `with autocast():`, the ops of this thread follow the table IN_16_BITS. `counts[op, "values"
    or "gradients"]` is a RoundingTally.

    With the format float32, no number is rounded or counted.
    """

    def __init__(self, format: Format):
        self.format = format
        self.counts: dict[tuple[str, str], RoundingTally] = defaultdict(RoundingTally)

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with casting(None if self.format is FLOAT32 else self.call):
            yield

    def total(self, kind: str) -> RoundingTally:
        """Returns the sum over all ops. kind: "values" or "gradients"."""
        parts = [tally for (_, k), tally in self.counts.items() if k == kind]
        return RoundingTally(*(sum(getattr(part, name) for part in parts)
                               for name in ("numbers", "overflows", "underflows")))

    def cast(self, x: Tensor, op: str) -> Tensor:
        """Returns x rounded; backward rounds the gradient of x. The result of a cast is not rounded again."""
        made_by = x.node.vjp if x.node else None
        if isinstance(made_by, _BackwardCast) and made_by.autocast is self:
            return x
        return record(self.round(x.data, op, "values"), (x,), _BackwardCast(self, op))

    def call(self, op: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Calls op(*args, **kwargs) in the precision that IN_16_BITS gives."""
        name = op.__name__
        if not IN_16_BITS.get(name, False):
            return op(*args, **kwargs)
        args = tuple(self.cast(value, name) if isinstance(value, Tensor) else value for value in args)
        kwargs = {key: self.cast(value, name) if isinstance(value, Tensor) else value
                  for key, value in kwargs.items()}
        return self.cast(op(*args, **kwargs), name)

    def round(self, x: np.ndarray, op: str, kind: str) -> np.ndarray:
        """Rounds x and counts its numbers. kind: "values" or "gradients" of the op."""
        rounded = self.format.round(x)
        self.counts[op, kind].add(x, rounded)
        return rounded


@dataclass(frozen=True)
class _BackwardCast:
    """Computes the gradient of a cast: it rounds the gradient. The type of this object marks the node as a
    cast.
    """

    autocast: Autocast
    op: str

    def __call__(self, g: np.ndarray) -> tuple[np.ndarray]:
        return (self.autocast.round(g, self.op, "gradients"),)
