"""Runs a collective in rounds: in each round a rank sends at most one message and receives at most one.

The algorithms are minipar's own generators. What travels is not numbers but their origin: an element is the number
of its cell (a chunk of the array), and one bit for each rank whose contribution it holds. "Adding" joins the bits.

    cell << 8 | bits        0x0205: cell 2, the contributions of ranks 0 and 2
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minipar.comm.collectives.channel import AlgorithmSteps, Channel
from minipar.comm.protocol import Request

BITS = 8                                # ranks, at most

Cells = list[int]                       # elements as above
StartRank = Callable[["Rounds", int], AlgorithmSteps]


@dataclass(frozen=True)
class RoundMessage:
    source: int
    dest: int
    cells: Cells


@dataclass(frozen=True)
class Round:
    """messages: of this round. held: for each rank, what it has got or made since the last round, as cells."""

    messages: list[RoundMessage]
    held: list[Cells]


class OneRank:
    """What an algorithm needs of a communicator: starting messages. Lockstep moves them."""

    def __init__(self, rounds: Rounds, rank: int) -> None:
        self._rounds, self.rank, self.size, self.nodes = rounds, rank, rounds.size, rounds.nodes
        self.out: list[Request] = []
        self.into: list[Request] = []

    def isend(self, array: np.ndarray, dest: int, *, label: str | None = None, tag: int = 0) -> Request:
        self.out.append(Request("send", dest, tag, array, str(label)))
        return self.out[-1]

    def irecv(self, out: np.ndarray, source: int, *, label: str | None = None, tag: int = 0) -> Request:
        self.into.append(Request("recv", source, tag, out, str(label)))
        return self.into[-1]


class Rounds:
    """size: ranks. nodes: the node of each. elements: of a cell."""

    def __init__(self, size: int, nodes: Sequence[int], elements: int = 1) -> None:
        self.size, self.nodes, self.elements = size, tuple(nodes), elements
        self.ranks = [OneRank(self, rank) for rank in range(size)]
        self._new: list[Cells] = [[] for _ in range(size)]

    def channel(self, rank: int) -> Channel:
        comm: Any = self.ranks[rank]
        return Channel(comm, "player", 0)

    def combine(self, rank: int) -> Any:
        """Joins two arrays, as np.add adds them, and notes the result."""
        def join(left: np.ndarray, right: np.ndarray, out: np.ndarray) -> np.ndarray:
            joined = np.bitwise_or(left, right, out=out)
            self._new[rank] += self.cells_of(joined)
            return joined
        return join

    def cells_of(self, array: np.ndarray) -> Cells:
        cells: Cells = array.reshape(-1)[::self.elements].tolist()
        return cells

    def run(self, start: StartRank) -> Iterator[Round]:
        """Every round of the algorithm. start(self, rank): its steps on that rank."""
        steps = [start(self, rank) for rank in range(self.size)]
        waits: list[Request | None] = [next(one, None) for one in steps]
        while any(waits):
            messages = self._move()
            if not messages:
                raise RuntimeError("no message can move: the algorithm deadlocks")
            for rank, one in enumerate(steps):
                while (waiting := waits[rank]) is not None and waiting.done:
                    waits[rank] = next(one, None)
            yield Round(messages, self._new)
            self._new = [[] for _ in range(self.size)]

    def _move(self) -> list[RoundMessage]:
        """Deliver the first message of each rank whose receiver is ready and has received nothing yet."""
        moved, busy = [], set()
        for sender in self.ranks:
            if not sender.out:
                continue
            sending = sender.out[0]
            receiver = self.ranks[sending.peer]
            receiving = next((one for one in receiver.into if one.peer == sender.rank), None)
            if receiving is None or receiver.rank in busy:
                continue
            busy.add(receiver.rank)
            moved.append((sender, receiver, sending, receiving))
        return [self._deliver(*one) for one in moved]

    def _deliver(
        self, sender: OneRank, receiver: OneRank, sending: Request, receiving: Request
    ) -> RoundMessage:
        receiving.array.reshape(-1)[:] = sending.array.reshape(-1)
        cells = self.cells_of(sending.array)
        self._new[receiver.rank] += cells
        sender.out.remove(sending)
        receiver.into.remove(receiving)
        sending.done = receiving.done = True
        return RoundMessage(sender.rank, receiver.rank, cells)
