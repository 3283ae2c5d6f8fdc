"""ZeRO shards weights, gradients and the optimiser's state over the ranks of dp.

Source: Rajbhandari et al. 2020, "ZeRO: memory optimizations toward training trillion parameter models". FSDP
is stage 3. Plain data parallelism keeps all three kinds of arrays whole on every rank. Each stage of ZeRO
shards one more kind. The table shows how many elements a rank sends in a training step. There are n
parameters, p ranks of dp, and m micro-batches, and c = (p - 1)/p:

    stage   state   gradients   weights     messages of a step
    1       shard   whole       whole       n c  reduce-scatter of gradients, n c  all-gather of weights
    2       shard   shard       whole       m n c  reduce-scatter of gradients, n c  all-gather of weights
    3       shard   shard       shard       m n c  reduce-scatter, 2 m n c  all-gathers (forward, backward)

An all-reduce consists of a reduce-scatter and an all-gather. So stage 1 of ZeRO sends as many elements as an
all-reduce. Stage 2 sends the same number if there is one micro-batch. A unit is a part of the model, such as
a block. Buffers hold the whole arrays of a few units for a short time, see `slots`.

Read shards.py (the owners of elements), this file (the buffers), sharded_gradients.py (the sum of gradients),
sharded_units.py (gathered weights). `gather_step_scatter.py` is a simple version with the same results.
"""

# k: number of elements of a piece
# dp, tp: the axes of data and tensor parallelism

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from minipar.comm.collectives import Handle, all_gather
from minipar.comm.protocol import Communicator
from minipar.nn import Parameter
from minipar.optim import ParameterStore, Run
from minipar.parallel.shards import ShardedMessage, Unit, overlap, units_of

# The algorithm of all messages. A ring sends (p - 1)/p of the elements for every size. Its sums do not depend
# on the nodes of the ranks.
RING = "ring"
SLOTS = 2  # number of buffers that the blocks use in turn


class Piece(NamedTuple):
    """The part of one message that this rank owns. weights, gradient: its arrays [k]."""

    unit: Unit
    message: ShardedMessage
    weights: np.ndarray
    gradient: np.ndarray


class ShardedStore(ParameterStore):
    """Stores the weights of this rank's pipeline stages, sharded over the ranks of dp. zero: the stage of
    ZeRO, 1 to 3.

    copies: true if tp > 1, because other ranks then hold replicas of the parameters that tp does not shard.
    reshard: if true, the blocks use two weight buffers in turn in stage 3 of ZeRO. Otherwise each unit has
    its own buffer. All ranks of dp create a store together. Raises LayoutError if there are fewer elements
    than ranks.
    """

    def __init__(self, parameters: Sequence[Parameter], dp: Communicator, zero: int, *, copies: bool = False,
                 reshard: bool = True):
        self.parameters, self.dp, self.zero, self.reshard = list(parameters), dp, zero, reshard
        self.units = units_of(self.parameters, dp.size, dp.rank, copies)
        self.size, dtype = self.units[-1].end, self.parameters[0].dtype
        none = np.empty(0, dtype)
        # this rank's shards; empty if the rank keeps the whole array
        self.weights = np.empty(self.size, dtype) if zero >= 3 else none
        self.gradient = np.zeros(self.size, dtype) if zero >= 2 else none
        gradient_slots = slots(self.units, dtype, SLOTS) if zero >= 2 else {}
        weight_slots = slots(self.units, dtype, SLOTS if reshard else 0) if zero >= 3 else {}
        self.pieces: list[Piece] = []
        for unit in self.units:
            if zero >= 2:
                unit.flat.keep_gradient_in(gradient_slots[unit])
            if zero >= 3:
                for message in unit.messages:
                    self.weights[message.kept] = unit.flat.data[message.own]
                unit.flat.keep_weights_in(weight_slots[unit])
            for message in unit.messages:
                self.pieces.append(Piece(
                    unit, message,
                    self.weights[message.kept] if zero >= 3 else unit.flat.data[message.own],
                    self.gradient[message.kept] if zero >= 2 else unit.flat.grad[message.own]))
        self.pieces_of = {unit: [piece for piece in self.pieces if piece.unit is unit] for unit in self.units}
        self.in_flight: list[Handle] = []  # a message makes progress only during a call of `test`
        self._slot_bytes = sum(map(_bytes, (gradient_slots, weight_slots)))
        self.on_load: Callable[[], None] = lambda: None             # called after load_weights

    def zeros(self) -> np.ndarray:
        return np.zeros(self.size, self.parameters[0].dtype)

    def zero_grad(self) -> None:
        self.gradient[...] = 0
        for unit in self.units:
            unit.flat.zero_grad()

    def runs(self) -> list[Run]:
        found = []
        for unit, message, weights, gradient in self.pieces:
            decayed = unit.flat.decayed
            for span, decays in ((slice(0, decayed.start), False), (decayed, True),
                                 (slice(decayed.stop, unit.size), False)):
                if mine := overlap(span, message.own):
                    at = message.kept.start
                    found.append(Run(weights[mine], gradient[mine], slice(at + mine.start, at + mine.stop),
                                     decays))
        return found

    def gradients(self) -> list[np.ndarray]:
        return [piece.gradient for piece in self.pieces]

    def own_weights(self) -> Iterator[tuple[Parameter, np.ndarray]]:
        return self._own(lambda piece: piece.weights)

    def own_gradients(self) -> Iterator[tuple[Parameter, np.ndarray]]:
        return self._own(lambda piece: piece.gradient)

    def _own(self, values: Callable[[Piece], np.ndarray]) -> Iterator[tuple[Parameter, np.ndarray]]:
        for piece in self.pieces:
            flat = piece.unit.flat
            for p, span in zip(flat.parameters, flat.slices, strict=True):
                if mine := overlap(span, piece.message.own):
                    yield p, values(piece)[mine]

    def weights_by_name(self) -> dict[str, np.ndarray]:
        if self.zero >= 3:
            return self._gathered(lambda piece: piece.weights)
        return {name: array for unit in self.units for name, array in unit.flat.weights_by_name().items()}

    def gradients_by_name(self) -> dict[str, np.ndarray]:
        return self._gathered(lambda piece: piece.gradient)

    def state_by_name(self, state: np.ndarray) -> dict[str, np.ndarray]:
        return self._gathered(lambda piece: state[piece.message.kept])

    def _gathered(self, values: Callable[[Piece], np.ndarray]) -> dict[str, np.ndarray]:
        """Gathers whole arrays of this rank's parameters from the shards of all ranks of dp. All ranks of
        dp call this method together.
        """
        buffers = {unit: np.empty(unit.size, self.parameters[0].dtype) for unit in self.units}
        for piece in self.pieces:
            all_gather(self.dp, values(piece), counts=piece.message.counts, algorithm=RING,
                       label=f"whole {piece.message.label}", out=buffers[piece.unit][piece.message.span])
        return {name: array for unit in self.units for name, array in
                unit.flat.by_name(buffers[unit]).items()}

    def load_weights(self, arrays: Mapping[str, np.ndarray]) -> None:
        for unit in self.units:
            whole = _flattened(unit, arrays)
            if self.zero < 3:
                unit.flat.data[...] = whole
            for piece in self.pieces_of[unit]:
                piece.weights[...] = whole[piece.message.own]
        self.on_load()

    def load_state(self, state: np.ndarray, arrays: Mapping[str, np.ndarray]) -> None:
        for unit in self.units:
            whole = _flattened(unit, arrays)
            for message in unit.messages:
                state[message.kept] = whole[message.own]

    def held(self) -> dict[str, int]:
        whole = sum(unit.size for unit in self.units) * self.parameters[0].dtype.itemsize
        return {"weights": self.weights.nbytes if self.zero >= 3 else whole,
                "gradients": self.gradient.nbytes if self.zero >= 2 else whole,
                "gathered": self._slot_bytes}


def slots(units: Sequence[Unit], dtype: np.dtype, shared: int) -> dict[Unit, np.ndarray]:
    """Returns a dict: unit -> the buffer [unit.size] that holds the whole unit for a short time.

    Blocks run one after the other, so they can use `shared` buffers in turn. While one buffer is in use, the
    next buffer can be filled. Example: with shared=2, blocks 0, 1 and 2 are in buffers 0, 1 and 0. If
    `shared` is 0, every block has its own buffer. A unit that is not a block always has its own buffer: for
    example, a tied table is in use from the first to the last unit. The tape holds references to the buffers.
    So before the backward of a block, its weights must be gathered again into the same buffer.
    """
    found = {unit: np.zeros(unit.size, dtype) for unit in units if not (unit.is_block and shared)}
    blocks = [unit for unit in units if unit not in found]
    for number in range(min(shared, len(blocks))):
        turns = blocks[number::shared]
        buffer = np.zeros(max(unit.size for unit in turns), dtype)
        found.update({unit: buffer[:unit.size] for unit in turns})
    return found


def _bytes(buffers: Mapping[Unit, np.ndarray]) -> int:
    """Returns the bytes of all buffers. A buffer of several units counts once, with its largest unit."""
    largest: dict[int, int] = {}
    for array in buffers.values():
        address = array.__array_interface__["data"][0]
        largest[address] = max(largest.get(address, 0), array.nbytes)
    return sum(largest.values())


def _flattened(unit: Unit, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Concatenates the arrays of a unit's parameters in the order of its flat buffer, [unit.size]."""
    return np.concatenate([arrays[p.name].reshape(-1) for p in unit.flat.parameters])
