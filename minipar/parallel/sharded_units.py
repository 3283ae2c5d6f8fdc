"""Gathers and frees weights in ZeRO stage 3. A unit is a part of the model, such as a block. Its weights are
gathered before it runs.

    forward     gather 0 | run 0, gather 1 | run 1, gather 2 | run 2 ...
    backward                                 gather 2 | run 2, gather 1 | run 1, gather 0 | run 0

The next unit is gathered ahead, so its messages are in flight while the current unit computes. At the end of
an instruction (a forward or backward of this rank's part) all weights are freed, and backward gathers them
again. With `reshard=False` the weights stay until the optimiser's step. If a unit is freed, another unit may
use its buffer. The buffer itself stays allocated, because the tape holds references to it (see
`sharded.slots`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from minipar.autograd import Tensor, record
from minipar.comm.collectives import Handle, start_all_gather
from minipar.nn import GPT
from minipar.nn.units import EMBEDDING, HEAD, Units
from minipar.parallel.sharded import RING, ShardedStore
from minipar.parallel.sharded_gradients import StreamedReducer
from minipar.parallel.shards import Unit, unit_name

AHEAD = 1                                                           # number of units that are gathered ahead


class ReducedUnits(Units):
    """Implements the units of ZeRO stage 2, whose weights are always whole. At the end of an instruction,
    this rank waits for the gradient messages that the instruction started.
    """

    def __init__(self, reducer: StreamedReducer):
        self.reducer = reducer

    def end(self) -> None:
        self.reducer.settle()


class Gathering:
    """Gathers units, and records which units are whole on this rank. All parts of the model on a rank share
    one Gathering.
    """

    def __init__(self, store: ShardedStore):
        self.store, self.dp = store, store.dp
        self.present: dict[int, Unit] = {}                          # address of a buffer -> the unit in it
        self.pending: dict[Unit, list[Handle]] = {}
        store.on_load = self.free

    def start(self, unit: Unit) -> None:
        """Start to gather a unit, unless it is already whole or in flight."""
        buffer = unit.flat.data.__array_interface__["data"][0]
        if self.present.get(buffer) is unit:
            return
        self.present[buffer] = unit
        self.pending[unit] = [
            start_all_gather(self.dp, piece.weights, counts=piece.message.counts, algorithm=RING,
                             out=unit.flat.data[piece.message.span],
                             label=f"weights of {piece.message.label}")
            for piece in self.store.pieces_of[unit]]
        self.store.in_flight += self.pending[unit]

    def wait(self, unit: Unit) -> None:
        """Wait until the unit is whole."""
        self.start(unit)
        for handle in self.pending.pop(unit, ()):
            handle.wait()
            self.store.in_flight.remove(handle)

    def free(self) -> None:
        """Free all units. They must be gathered again before their next use."""
        self.present.clear()


class GatheredUnits(ReducedUnits):
    """Implements the units of ZeRO stage 3, for one part of the model on this rank."""

    def __init__(self, model: GPT, gathering: Gathering, reducer: StreamedReducer):
        super().__init__(reducer)
        self.gathering = gathering
        self.order = forward_order(model, {unit.name: unit for unit in gathering.store.units})
        self.numbers = {name: number for number, name in enumerate(self.order)}

    def before_forward(self, unit: str) -> None:
        self._ready(self.numbers[unit], ahead=AHEAD)

    def before_backward(self, unit: str, y: Tensor) -> Tensor:
        def vjp(g: np.ndarray) -> tuple[np.ndarray]:
            self._ready(self.numbers[unit], ahead=-AHEAD)
            return (g,)

        return record(y.data, (y,), vjp)

    def end(self) -> None:
        super().end()
        if self.gathering.store.reshard:
            self.gathering.free()

    def _ready(self, number: int, ahead: int) -> None:
        """Wait for the weights of a unit, and start to gather the weights of the next unit."""
        groups = list(self.order.values())
        for unit in groups[number]:
            self.gathering.wait(unit)
        if ahead and 0 <= number + ahead < len(groups):
            for unit in groups[number + ahead]:
                self.gathering.start(unit)


def forward_order(model: GPT, units: Mapping[str, Unit]) -> dict[str, Sequence[Unit]]:
    """Returns a dict: name -> units, in the order of forward. The names are defined in nn/units.py.

    Example: in a model with a tied head, "embedding" has the units "positions" and "tokens", and "head" has
    the units "norm" and "tokens".
    """
    order: dict[str, Sequence[Unit]] = {}
    if model.part.first:
        tables = (model.position_table, model.token_table.weight)
        order[EMBEDDING] = [units[unit_name(p.name)] for p in tables]
    order |= {block.name: [units[block.name]] for block in model.blocks}
    if model.part.last:
        order[HEAD] = [units[unit_name(p.name)] for p in (model.norm.weight, model.head.weight)]
    return order
