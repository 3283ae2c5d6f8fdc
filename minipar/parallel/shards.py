"""Determines the elements of the parameters that each rank of dp owns with ZeRO.

The parameters of a rank are divided into units: each block, each table, the last LayerNorm. Each unit has its
own flat buffer, which is sent in one message. With tp > 1 the buffer is sent in two messages: parameters that
are sharded over tp, and replicas. data.py gives the reason. The elements of each message are divided over the
ranks of dp as evenly as possible. If the division has a remainder, the first ranks have one more element.

Example: dp = 3, with a unit of 8 elements and a unit of 4 elements. The numbers are the owners:

    unit "blocks.0"     0 0 0 1 1 1 2 2
    unit "norm"         0 0 1 2

The shard of rank 0 is one array: three elements of "blocks.0", then two of "norm". The shard of rank 2 has
two elements of "blocks.0", then one of "norm".
"""

# dp, tp: the axes of data and tensor parallelism

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from minipar.comm.collectives import even_counts
from minipar.errors import LayoutError
from minipar.nn import Parameter
from minipar.optim import Flat


class ShardedMessage(NamedTuple):
    """Describes the elements of a unit that are sent in one message.

    span: their slice of the unit's flat buffer. counts: the number of elements that each rank of dp owns.
    own: the slice of the unit's flat buffer that this rank owns. kept: the slice of this rank's shard that
    holds the elements of `own`. The shard is one array for all units.
    """

    label: str
    span: slice
    counts: list[int]
    own: slice
    kept: slice


class Unit:
    """Holds the parameters of a unit in a flat buffer, and describes their messages. Two units are equal only
    if they are the same object.
    """

    def __init__(self, name: str, parameters: Sequence[Parameter], ranks: int, rank: int, copies: bool,
                 kept: int):
        """ranks: the number of ranks of dp. rank: the number of this rank in dp. copies: true if other ranks
        hold replicas of the parameters that are not sharded (tp > 1). kept: the index in this rank's shard at
        which the elements of this unit begin.
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
        """Yields (parameter, range of its flattened array) for the elements that this rank owns."""
        for message in self.messages:
            for p, span in zip(self.flat.parameters, self.flat.slices, strict=True):
                if mine := overlap(message.own, span):
                    yield p, mine

    @property
    def is_block(self) -> bool:
        return self.name.startswith("blocks.")


def unit_name(parameter: str) -> str:
    """Returns the name of a parameter's unit.

    >>> unit_name("blocks.3.mlp.up.weight"), unit_name("tokens.weight")
    ('blocks.3', 'tokens')
    """
    first, second, *_ = parameter.split(".")
    return f"{first}.{second}" if first == "blocks" else first


def units_of(parameters: Sequence[Parameter], ranks: int, rank: int, copies: bool) -> list[Unit]:
    """Returns the units of these parameters, in the order of the parameters. Raises LayoutError if there are
    fewer elements than ranks.
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
    """Returns the common elements of `span` and `own`, counted from the start of `own`, or None.

    >>> overlap(slice(0, 5), slice(3, 9))
    slice(0, 2, None)
    """
    start, stop = max(span.start, own.start), min(span.stop, own.stop)
    return slice(start - own.start, stop - own.start) if start < stop else None
