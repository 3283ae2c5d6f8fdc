"""Which elements of the parameters each rank of dp owns under ZeRO.

The parameters of a rank are divided into units: each block, each table, the last LayerNorm. A unit has a flat
buffer of its own, which travels in one message, or in two if tp > 1: the parameters that are sharded over tp,
and the replicas, for the reason given in data.py. The ranks of dp own the elements of each message as evenly
as possible; the first ranks have one more.

Example: dp = 3, a unit of 8 elements, then one of 4. The numbers are the owners:

    unit "blocks.0"     0 0 0 1 1 1 2 2
    unit "norm"         0 0 1 2
    the shard of rank 0 is the elements 0 0 0 | 0 0 in one array, rank 2 has 2 2 | 2
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from minipar.comm.collectives import even_counts
from minipar.errors import LayoutError
from minipar.nn import Parameter
from minipar.optim import Flat


class ShardedMessage(NamedTuple):
    """Elements of a unit that travel in one message.

    span: in the unit's flat buffer. counts: the elements that each rank of dp owns. own: those of this rank,
    in the unit's flat buffer. kept: the same elements in the array of this rank's shard.
    """

    label: str
    span: slice
    counts: list[int]
    own: slice
    kept: slice


class Unit:
    """The parameters of a unit in a flat buffer, and their messages. Hashes by identity."""

    def __init__(self, name: str, parameters: Sequence[Parameter], ranks: int, rank: int, copies: bool,
                 kept: int):
        """rank: of dp. copies: other ranks hold replicas of the parameters that are not sharded (tp > 1).
        kept: the position of this rank's first element in the array of its shard.
        """
        self.name, self.flat = name, Flat(parameters)
        self.size = len(self.flat.data)
        self.messages: list[ShardedMessage] = []
        edge = self.flat.whole.start if copies else self.size
        for label, span in ((name, slice(0, edge)), (f"replicated {name}", slice(edge, self.size))):
            if span.start < span.stop:
                counts = even_counts(span.stop - span.start, ranks)
                start = span.start + sum(counts[:rank])
                self.messages.append(ShardedMessage(label, span, counts, slice(start, start + counts[rank]),
                                                    slice(kept, kept + counts[rank])))
                kept += counts[rank]
        self.end = kept

    def owned(self) -> Iterator[tuple[Parameter, slice]]:
        """The parameters of which this rank owns elements, each with their range in its flattened array."""
        for message in self.messages:
            for p, span in zip(self.flat.parameters, self.flat.slices, strict=True):
                if mine := overlap(message.own, span):
                    yield p, mine

    @property
    def is_block(self) -> bool:
        return self.name.startswith("blocks.")


def unit_name(parameter: str) -> str:
    """The unit of a parameter.

    >>> unit_name("blocks.3.mlp.up.weight"), unit_name("tokens.weight")
    ('blocks.3', 'tokens')
    """
    first, second, *_ = parameter.split(".")
    return f"{first}.{second}" if first == "blocks" else first


def units_of(parameters: Sequence[Parameter], ranks: int, rank: int, copies: bool) -> list[Unit]:
    """The units of these parameters, in their order; see Unit. Raises LayoutError if there are fewer elements
    than ranks.
    """
    groups: dict[str, list[Parameter]] = {}
    for p in parameters:
        groups.setdefault(unit_name(p.name), []).append(p)
    if (elements := sum(p.data.size for p in parameters)) < ranks:
        raise LayoutError(f"{elements} elements over dp={ranks} leave ranks without a shard; choose a larger "
                          f"model, or dp <= {elements}")
    units: list[Unit] = []
    for name, members in groups.items():
        units.append(Unit(name, members, ranks, rank, copies, units[-1].end if units else 0))
    return units


def overlap(span: slice, own: slice) -> slice | None:
    """The elements that `span` and `own` share, counted from the start of `own`; None if there are none.

    >>> overlap(slice(0, 5), slice(3, 9))
    slice(0, 2, None)
    """
    start, stop = max(span.start, own.start), min(span.stop, own.stop)
    return slice(start - own.start, stop - own.start) if start < stop else None
