"""The sum of sharded gradients, and the weights after the step: the reducers of ZeRO.

Stage 1 keeps the whole gradient until the last backward, then each rank gets the sum of its shard by
reduce-scatter. Stages 2 and 3 have no memory for a whole gradient. So a unit's gradient is reduced as soon as
its backward is complete, for every micro-batch, and the sum is added to the shard. Its messages travel while
the unit before it computes.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import numpy as np

from minipar.comm.collectives import Handle, all_gather, reduce_scatter, start_reduce_scatter
from minipar.nn import Parameter
from minipar.parallel.sharded import RING, Piece, ShardedStore
from minipar.parallel.shards import Unit


class ShardedReducer:
    """Stage 1. The gradients of other ranks' shards are partial sums after `finish`, and must not be used."""

    def __init__(self, store: ShardedStore):
        self.store, self.dp = store, store.dp

    residual_bytes = 0

    def expect(self, parameters: Iterable[Parameter]) -> None:
        """Nothing to prepare: `finish` sums all gradients."""

    def finish(self) -> None:
        """Called after the last backward. The store's gradient is then the sum over dp."""
        for unit in self.store.units:
            unit.flat.gradient()                                    # of unreached parameters: zero
        for unit, message, _, own in self.store.pieces:
            reduce_scatter(self.dp, unit.flat.grad[message.span], counts=message.counts, out=own,
                           label=f"gradients of {message.label}", algorithm=RING)

    def updated(self) -> None:
        """Called after the optimiser's step, which has changed this rank's weights: gather those of others.
        """
        for unit, message, own, _ in self.store.pieces:
            all_gather(self.dp, own, counts=message.counts, out=unit.flat.data[message.span],
                       label=f"weights of {message.label}", algorithm=RING)


class StreamedReducer(ShardedReducer):
    """Stages 2 and 3. A unit is complete when backward has computed the gradients of all its parameters.

    The reduce-scatter of a unit is in flight until the next unit is complete, or until the instruction ends:
    blocks take turns in two buffers, so the buffer is free when the next block but one writes into it. No
    message is in flight between instructions. Otherwise a rank could wait for another stage, and the ranks
    of dp for its messages, in a circle.

    missing: unit -> its parameters whose gradient is not complete. reducing: the messages in flight.
    """

    def __init__(self, store: ShardedStore):
        super().__init__(store)
        self.missing = {unit: set(unit.flat.parameters) for unit in store.units}
        self.reducing: list[tuple[Piece, Handle]] = []
        for unit in store.units:
            for p in unit.flat.parameters:
                p.on_grad(partial(self.complete, unit, p))

    def complete(self, unit: Unit, p: Parameter, gradient: np.ndarray) -> None:
        """Called when a backward has computed the gradient of a parameter of this unit."""
        self.missing[unit].discard(p)
        if self.missing[unit]:
            for handle in self.store.in_flight:
                handle.test()
            return
        self.settle()
        self.missing[unit] = set(unit.flat.parameters)
        whole = unit.flat.gradient()
        for piece in self.store.pieces_of[unit]:
            message = piece.message
            handle = start_reduce_scatter(self.dp, whole[message.span], counts=message.counts,
                                          out=whole[message.own], algorithm=RING,
                                          label=f"gradients of {message.label}")
            self.reducing.append((piece, handle))
            self.store.in_flight.append(handle)
        unit.flat.zero_grad()

    def settle(self) -> None:
        """Wait for the messages in flight, and add the sums to the shard."""
        for piece, handle in self.reducing:
            np.add(piece.gradient, handle.wait(), out=piece.gradient)
            self.store.in_flight.remove(handle)
        self.reducing.clear()

    def finish(self) -> None:
        """All messages have been waited for at the end of the last instruction."""

    def updated(self) -> None:
        """Stage 2 gathers the new weights; in stage 3 they are gathered when they are needed."""
        if self.store.zero < 3:
            super().updated()
        self.store.on_load()
