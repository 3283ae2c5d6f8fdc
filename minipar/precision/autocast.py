"""Which ops compute in 16 bits, and what it costs them: numbers beyond the range, numbers lost to zero.

An op of the table that computes in 16 bits has its inputs rounded, is computed in float32 (so its sums are
float32 sums), and has its result rounded. Backward does the same to gradients: they are rounded where they
enter the op and where they leave it. The op itself knows nothing of it (Micikevicius et al. 2018, "Mixed
precision training").
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

# op -> whether it computes in 16 bits. Matrix products do: they are the work, and errors of their terms
# average out. GELU goes with its neighbours. What adds up many numbers, or exponentials, or the residual
# stream over all layers, keeps float32. Attention is one op: its products' operands and result have 16 bits,
# its softmax stays in float32 inside.
IN_16_BITS: Mapping[str, bool] = {
    "linear": True, "unembedding": True, "matmul": True, "causal_attention": True, "gelu": True,
    "embedding": False, "add_bias": False, "layernorm": False, "cross_entropy": False,
}


@dataclass
class RoundingTally:
    """Of the numbers that were rounded: how many there were, how many became infinite, how many became zero.

    Recomputation rounds numbers again, and they count again.
    """

    numbers: int = 0
    overflows: int = 0
    underflows: int = 0

    def add(self, before: np.ndarray, after: np.ndarray) -> None:
        self.numbers += before.size
        # some may have been so before; mostly there are none
        if infinite := np.count_nonzero(np.isinf(after)):
            self.overflows += int(infinite - np.count_nonzero(np.isinf(before)))
        self.underflows += int(np.count_nonzero(before) - np.count_nonzero(after))


class Autocast:
    """Calls of ops inside `with autocast():` follow the table, on this thread. `counts[op, "values" or
    "gradients"]` is a Tally.

    The number format may be float32: then nothing is rounded or counted, and ops are called as if this were
    not there.
    """

    def __init__(self, format: Format):
        self.format = format
        self.counts: dict[tuple[str, str], RoundingTally] = defaultdict(RoundingTally)

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with casting(None if self.format is FLOAT32 else self.call):
            yield

    def total(self, kind: str) -> RoundingTally:
        """Over all ops, of "values" or of "gradients"."""
        parts = [tally for (_, k), tally in self.counts.items() if k == kind]
        return RoundingTally(*(sum(getattr(part, name) for part in parts)
                               for name in ("numbers", "overflows", "underflows")))

    def cast(self, x: Tensor, op: str) -> Tensor:
        """x rounded, and on the way back its gradient rounded. What a cast has made is passed on as it is."""
        made_by = x.node.vjp if x.node else None
        if isinstance(made_by, _BackwardCast) and made_by.autocast is self:
            return x
        return record(self.round(x.data, op, "values"), (x,), _BackwardCast(self, op))

    def call(self, op: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """What becomes of op(*args, **kwargs), by the table."""
        name = op.__name__
        if not IN_16_BITS.get(name, False):
            return op(*args, **kwargs)
        args = tuple(self.cast(value, name) if isinstance(value, Tensor) else value for value in args)
        kwargs = {key: self.cast(value, name) if isinstance(value, Tensor) else value for key,
                  value in kwargs.items()}
        return self.cast(op(*args, **kwargs), name)

    def round(self, x: np.ndarray, op: str, kind: str) -> np.ndarray:
        """x rounded, and counted as the op's "values" or "gradients"."""
        rounded = self.format.round(x)
        self.counts[op, kind].add(x, rounded)
        return rounded


@dataclass(frozen=True)
class _BackwardCast:
    """The gradient formula of a cast, of a type by which a cast is known."""

    autocast: Autocast
    op: str

    def __call__(self, g: np.ndarray) -> tuple[np.ndarray]:
        return (self.autocast.round(g, self.op, "gradients"),)
