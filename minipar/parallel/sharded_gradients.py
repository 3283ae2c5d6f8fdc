"""The reducers of ZeRO sum gradients into shards, and gather the weights after the optimiser's step.

Stage 1 keeps the whole gradient until the last backward. Then a reduce-scatter gives each rank the sum of its
shard. Stages 2 and 3 have no memory for a whole gradient. A unit is a part of the model, such as a block. In
every micro-batch, the gradient of a unit is reduced as soon as the unit's backward is complete. The sum is
added to the shard. The messages are in flight during the backward of the next unit.
"""

# dp: the axis of data parallelism

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import numpy as np

from minipar.comm.collectives import Handle, all_gather, reduce_scatter, start_reduce_scatter
from minipar.nn import Parameter
from minipar.parallel.sharded import RING, Piece, ShardedStore
from minipar.parallel.shards import Unit


class ShardedReducer:
    """Sums gradients in stage 1. After `finish`, the gradients outside this rank's shard are partial sums,
    and must not be used.
    """

    def __init__(self, store: ShardedStore):
        self.store, self.dp = store, store.dp

    residual_bytes = 0

    def expect(self, parameters: Iterable[Parameter]) -> None:
        """Does nothing, because `finish` sums all gradients."""

    def finish(self) -> None:
        """Called after the last backward. Afterwards the store's gradient is the sum over dp."""
        for unit in self.store.units:
            unit.flat.gradient()  # sets gradients of unreached parameters to zero
        for unit, message, _, own in self.store.pieces:
            reduce_scatter(self.dp, unit.flat.grad[message.span], counts=message.counts, out=own,
                           label=f"gradients of {message.label}", algorithm=RING)

    def updated(self) -> None:
        """Called after the optimiser's step. Each rank has updated its own weights, and gathers the weights
        of the other ranks.
        """
        for unit, message, own, _ in self.store.pieces:
            all_gather(self.dp, own, counts=message.counts, out=unit.flat.data[message.span],
                       label=f"weights of {message.label}", algorithm=RING)


class StreamedReducer(ShardedReducer):
    """Sums gradients in ZeRO stages 2 and 3. A unit is complete when backward has computed all its gradients.

    The reduce-scatter of a unit is in flight until the next unit is complete, or until the instruction (a
    forward or backward of this rank's part) ends. The blocks use two buffers in turn. So the buffer of a
    block is free before another block uses it, two blocks later. No message is in flight between
    instructions. Otherwise a deadlock would be possible: a rank waits for another stage, while the other
    ranks of its dp group wait for a message of this rank.

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
        """Does nothing, because the last instruction has waited for all messages."""

    def updated(self) -> None:
        """Gathers the new weights in ZeRO stage 2. In stage 3, weights are gathered before their use."""
        if self.store.zero < 3:
            super().updated()
        self.store.on_load()
