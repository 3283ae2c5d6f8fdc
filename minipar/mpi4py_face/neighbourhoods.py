"""Neighbourhood collectives. Each rank exchanges data with its neighbours on the grid or in the graph.

Each rank has two lists: it sends block i to the rank outedges[i], and receives block j from the rank
inedges[j]. On a grid, a rank has two neighbours in each direction, the previous and the next rank. Example:
rank 1 sends a block to rank 0, its previous rank. For rank 0, this block comes from its next rank.

In a periodic direction of 1 or 2 ranks, both neighbours are the same rank. So two blocks come from one rank,
and their order matters. A rank first sends the block for its previous rank. The receiver sees this block as
the block from its next rank. So on a grid, each rank starts the receive from its next rank first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minipar.comm.collectives.channel import AlgorithmSteps, Channel
from minipar.comm.protocol import Request
from minipar.mpi4py_face.buffers import Buffer, simple, vector, vector_of_types
from minipar.mpi4py_face.calls import Collective
from minipar.mpi4py_face.cartesian import CartesianGrid
from minipar.mpi4py_face.constants import PROC_NULL
from minipar.mpi4py_face.pickling import to_bytes, to_object
from minipar.mpi4py_face.requests import PendingRequest
from minipar.mpi4py_face.work import CollectiveWork

ByteBlocks = Sequence[np.ndarray]


class NeighbourCollectives(Collective):
    """The neighbourhood calls of a communicator with a topology."""

    def Neighbor_allgather(self, sendbuf: Any, recvbuf: Any) -> None:
        self._to_all("Neighbor_allgather", sendbuf, recvbuf, simple).wait()

    def Ineighbor_allgather(self, sendbuf: Any, recvbuf: Any) -> PendingRequest:
        return PendingRequest.of(self._to_all("Ineighbor_allgather", sendbuf, recvbuf, simple))

    def Neighbor_allgatherv(self, sendbuf: Any, recvbuf: Any) -> None:
        self._to_all("Neighbor_allgatherv", sendbuf, recvbuf, vector).wait()

    def Ineighbor_allgatherv(self, sendbuf: Any, recvbuf: Any) -> PendingRequest:
        return PendingRequest.of(self._to_all("Ineighbor_allgatherv", sendbuf, recvbuf, vector))

    def Neighbor_alltoall(self, sendbuf: Any, recvbuf: Any) -> None:
        self._to_each("Neighbor_alltoall", sendbuf, recvbuf, simple).wait()

    def Ineighbor_alltoall(self, sendbuf: Any, recvbuf: Any) -> PendingRequest:
        return PendingRequest.of(self._to_each("Ineighbor_alltoall", sendbuf, recvbuf, simple))

    def Neighbor_alltoallv(self, sendbuf: Any, recvbuf: Any) -> None:
        self._to_each("Neighbor_alltoallv", sendbuf, recvbuf, vector).wait()

    def Ineighbor_alltoallv(self, sendbuf: Any, recvbuf: Any) -> PendingRequest:
        return PendingRequest.of(self._to_each("Ineighbor_alltoallv", sendbuf, recvbuf, vector))

    def Neighbor_alltoallw(self, sendbuf: Any, recvbuf: Any) -> None:
        self._to_each("Neighbor_alltoallw", sendbuf, recvbuf, vector_of_types).wait()

    def Ineighbor_alltoallw(self, sendbuf: Any, recvbuf: Any) -> PendingRequest:
        return PendingRequest.of(self._to_each("Ineighbor_alltoallw", sendbuf, recvbuf, vector_of_types))

    def neighbor_allgather(self, sendobj: Any) -> list[Any]:
        """Returns the objects of all neighbours, in the order of inedges."""
        return self._objects_to("neighbor_allgather", [to_bytes(sendobj)] * len(self._edges()[1]))

    def neighbor_alltoall(self, sendobj: Sequence[Any]) -> list[Any]:
        """Send one object to each rank of outedges, and return the objects from the ranks of inedges."""
        goes, objects = self._edges()[1], list(sendobj)
        if len(objects) != len(goes):
            raise ValueError(f"expecting {len(goes)} items, one for each neighbour, got {len(objects)}")
        return self._objects_to("neighbor_alltoall", [to_bytes(each) for each in objects])

    def _edges(self) -> tuple[list[int], list[int]]:
        """Returns (inedges, outedges)."""
        context = self._enter()
        rank, topology = context.comm.rank, context.topology
        return topology.sources(rank), topology.destinations(rank)

    def _order(self) -> list[int]:
        """Returns the order in which the receives start (see the top of this file)."""
        blocks = range(len(self._edges()[0]))
        on_a_grid = isinstance(self._enter().topology, CartesianGrid)
        return [block ^ 1 for block in blocks] if on_a_grid else list(blocks)

    def _to_all(self, op: str, sendbuf: Any, recvbuf: Any, read: Callable[..., Buffer]) -> CollectiveWork:
        data = simple(sendbuf, writable=False).pack()
        return self._exchange(op, [data] * len(self._edges()[1]), recvbuf, read)

    def _to_each(self, op: str, sendbuf: Any, recvbuf: Any, read: Callable[..., Buffer]) -> CollectiveWork:
        number = len(self._edges()[1])
        outgoing = read(sendbuf, writable=False, blocks=number) if number else None
        parts = [] if outgoing is None else [outgoing.block(block).pack() for block in range(number)]
        return self._exchange(op, parts, recvbuf, read)

    def _exchange(self, op: str, parts: ByteBlocks, recvbuf: Any,
                  read: Callable[..., Buffer]) -> CollectiveWork:
        """Send one part to each rank of outedges, and receive one block from each rank of inedges."""
        comes, goes = self._edges()
        buffer = read(recvbuf, writable=True, blocks=len(comes)) if comes else None
        blocks = [] if buffer is None else [buffer.block(block) for block in range(len(comes))]
        came = [np.empty(block.nbytes, np.uint8) for block in blocks]
        order = self._order()

        def finish() -> None:
            for source, block, data in zip(comes, blocks, came, strict=True):
                if source != PROC_NULL:
                    block.unpack(data)

        def steps(channel: Channel) -> AlgorithmSteps:
            return both_ways(channel, parts, goes, came, comes, order)

        return self._collective(op, steps, finish)

    def _objects_to(self, op: str, parts: ByteBlocks) -> list[Any]:
        comes, goes = self._edges()
        order = self._order()
        came: list[np.ndarray] = []

        def steps(channel: Channel) -> AlgorithmSteps:
            sizes = [np.zeros(1, np.int64) for _ in comes]
            lengths = [np.array([part.size]) for part in parts]
            yield from both_ways(channel, lengths, goes, sizes, comes, order)
            came.extend(np.empty(int(size[0]), np.uint8) for size in sizes)
            yield from both_ways(channel, parts, goes, came, comes, order)

        self._collective(op, steps).wait()
        return [None if source == PROC_NULL else to_object(data)
                for source, data in zip(comes, came, strict=True)]


def both_ways(channel: Channel, parts: ByteBlocks, goes: Sequence[int], came: ByteBlocks,
              comes: Sequence[int], order: Sequence[int]) -> AlgorithmSteps:
    """Send parts[i] to goes[i], and receive came[j] from comes[j]. order: the order in which the receives
    start.
    """
    waiting: list[Request] = [channel.receive(came[block], comes[block]) for block in order
                              if comes[block] != PROC_NULL]
    waiting += [channel.send(part, dest) for part, dest in zip(parts, goes, strict=True) if dest != PROC_NULL]
    yield from waiting
