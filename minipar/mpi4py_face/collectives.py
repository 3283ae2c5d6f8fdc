"""Collectives that move buffers: Bcast, Gather, Scatter, Allgather, Alltoall and their variants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minipar.comm.collectives.algorithms import naive
from minipar.comm.collectives.channel import AlgorithmSteps, Channel, meet
from minipar.mpi4py_face.buffers import Buffer, simple, vector, vector_of_types
from minipar.mpi4py_face.calls import Collective, fastest
from minipar.mpi4py_face.context import check_root
from minipar.mpi4py_face.exceptions import wrong
from minipar.mpi4py_face.host_memory import NOTHING, InPlace, is_in_place
from minipar.mpi4py_face.requests import PendingRequest
from minipar.mpi4py_face.work import CollectiveWork


class Movements(Collective):
    """The upper-case calls that move buffers. Their non-blocking forms return a request."""

    def Barrier(self) -> None:
        self._collective("Barrier", meet).wait()

    def Ibarrier(self) -> PendingRequest:
        return PendingRequest.of(self._collective("Ibarrier", meet))

    def Bcast(self, buf: Any, root: int = 0) -> None:
        self._bcast("Bcast", buf, root).wait()

    def Ibcast(self, buf: Any, root: int = 0) -> PendingRequest:
        return PendingRequest.of(self._bcast("Ibcast", buf, root))

    def _bcast(self, op: str, buf: Any, root: int) -> CollectiveWork:
        context = self._enter()
        root = check_root(context, root)
        buffer = simple(buf, writable=context.comm.rank != root)
        data = buffer.pack()

        def steps(channel: Channel) -> AlgorithmSteps:
            return fastest("broadcast", data.nbytes, context)(channel, data, root)

        return self._collective(op, steps, None if buffer.raw() is not None else lambda: buffer.unpack(data),
                                count=data.nbytes // element_size(buffer), datatype=buffer.datatype,
                                root=root)

    def Gather(self, sendbuf: Any, recvbuf: Any = None, root: int = 0) -> None:
        self._gather("Gather", sendbuf, recvbuf, root, simple).wait()

    def Igather(self, sendbuf: Any, recvbuf: Any = None, root: int = 0) -> PendingRequest:
        return PendingRequest.of(self._gather("Igather", sendbuf, recvbuf, root, simple))

    def Gatherv(self, sendbuf: Any, recvbuf: Any = None, root: int = 0) -> None:
        self._gather("Gatherv", sendbuf, recvbuf, root, vector).wait()

    def Igatherv(self, sendbuf: Any, recvbuf: Any = None, root: int = 0) -> PendingRequest:
        return PendingRequest.of(self._gather("Igatherv", sendbuf, recvbuf, root, vector))

    def _gather(self, op: str, sendbuf: Any, recvbuf: Any, root: int,
                read: Callable[..., Buffer]) -> CollectiveWork:
        context = self._enter()
        root = check_root(context, root)
        rank, size, even = context.comm.rank, context.comm.size, read is simple
        if rank != root:
            refuse_in_place(sendbuf)
            part = simple(sendbuf, writable=False)

            def send(channel: Channel) -> AlgorithmSteps:
                if even:
                    return fastest("gather", part.nbytes * size, context)(channel, part.pack(), NOTHING,
                                                                          [part.nbytes] * size, root)
                return naive.gather(channel, part.pack(), NOTHING, [], root)

            return self._collective(op, send, datatype=part.datatype, root=root,
                                    count=elements(part) if even else None)
        buffer = read(recvbuf, writable=True, blocks=size)
        in_place = is_in_place(sendbuf)
        part = buffer.block(root) if in_place else simple(sendbuf, writable=False)
        same_amount(part, buffer.block(root))
        out, finish = gathered(buffer, skip=root if in_place else -1)
        counts, mine = buffer.bytes_of_blocks(), part.pack()
        mine = mine.copy() if in_place else mine

        def take(channel: Channel) -> AlgorithmSteps:
            algorithm = fastest("gather", out.nbytes, context) if even else naive.gather
            return algorithm(channel, mine, out, counts, root)

        return self._collective(op, take, finish, datatype=buffer.datatype, root=root,
                                count=elements(buffer.block(root)) if even else None)

    def Scatter(self, sendbuf: Any, recvbuf: Any = None, root: int = 0) -> None:
        self._scatter("Scatter", sendbuf, recvbuf, root, simple).wait()

    def Iscatter(self, sendbuf: Any, recvbuf: Any = None, root: int = 0) -> PendingRequest:
        return PendingRequest.of(self._scatter("Iscatter", sendbuf, recvbuf, root, simple))

    def Scatterv(self, sendbuf: Any, recvbuf: Any = None, root: int = 0) -> None:
        self._scatter("Scatterv", sendbuf, recvbuf, root, vector).wait()

    def Iscatterv(self, sendbuf: Any, recvbuf: Any = None, root: int = 0) -> PendingRequest:
        return PendingRequest.of(self._scatter("Iscatterv", sendbuf, recvbuf, root, vector))

    def _scatter(self, op: str, sendbuf: Any, recvbuf: Any, root: int,
                 read: Callable[..., Buffer]) -> CollectiveWork:
        context = self._enter()
        root = check_root(context, root)
        rank, size, even = context.comm.rank, context.comm.size, read is simple
        source, counts = NOTHING, []
        in_place = is_in_place(recvbuf)
        if rank == root:
            buffer = read(sendbuf, writable=False, blocks=size)
            part = buffer.block(root) if in_place else simple(recvbuf, writable=True)
            same_amount(part, buffer.block(root))
            source, counts = buffer.pack_blocks(), buffer.bytes_of_blocks()
        else:
            refuse_in_place(recvbuf)
            part = simple(recvbuf, writable=True)
            counts = [part.nbytes] * size
        out = np.empty(part.nbytes, np.uint8)

        def steps(channel: Channel) -> AlgorithmSteps:
            algorithm = fastest("scatter", out.nbytes * size, context) if even else naive.scatter
            return algorithm(channel, source, out, counts, root)

        return self._collective(op, steps, None if in_place and rank == root else lambda: part.unpack(out),
                                datatype=part.datatype, root=root, count=elements(part) if even else None)

    def Allgather(self, sendbuf: Any, recvbuf: Any) -> None:
        self._allgather("Allgather", sendbuf, recvbuf, simple).wait()

    def Iallgather(self, sendbuf: Any, recvbuf: Any) -> PendingRequest:
        return PendingRequest.of(self._allgather("Iallgather", sendbuf, recvbuf, simple))

    def Allgatherv(self, sendbuf: Any, recvbuf: Any) -> None:
        self._allgather("Allgatherv", sendbuf, recvbuf, vector).wait()

    def Iallgatherv(self, sendbuf: Any, recvbuf: Any) -> PendingRequest:
        return PendingRequest.of(self._allgather("Iallgatherv", sendbuf, recvbuf, vector))

    def _allgather(self, op: str, sendbuf: Any, recvbuf: Any, read: Callable[..., Buffer]) -> CollectiveWork:
        context = self._enter()
        buffer = read(recvbuf, writable=True, blocks=context.comm.size)
        own = buffer.block(context.comm.rank)
        part = own if is_in_place(sendbuf) else simple(sendbuf, writable=False)
        same_amount(part, own)
        out, finish = gathered(buffer)
        counts = buffer.bytes_of_blocks()
        start = sum(counts[:context.comm.rank])
        out[start:start + part.nbytes] = part.pack()

        def steps(channel: Channel) -> AlgorithmSteps:
            return fastest("all_gather", out.nbytes, context)(channel, out, counts)

        return self._collective(op, steps, finish, datatype=buffer.datatype, counts=[
            count // element_size(buffer) for count in counts])

    def Alltoall(self, sendbuf: Any, recvbuf: Any) -> None:
        self._alltoall("Alltoall", sendbuf, recvbuf, simple).wait()

    def Ialltoall(self, sendbuf: Any, recvbuf: Any) -> PendingRequest:
        return PendingRequest.of(self._alltoall("Ialltoall", sendbuf, recvbuf, simple))

    def Alltoallv(self, sendbuf: Any, recvbuf: Any) -> None:
        self._alltoall("Alltoallv", sendbuf, recvbuf, vector).wait()

    def Ialltoallv(self, sendbuf: Any, recvbuf: Any) -> PendingRequest:
        return PendingRequest.of(self._alltoall("Ialltoallv", sendbuf, recvbuf, vector))

    def Alltoallw(self, sendbuf: Any, recvbuf: Any) -> None:
        self._alltoall("Alltoallw", sendbuf, recvbuf, vector_of_types).wait()

    def Ialltoallw(self, sendbuf: Any, recvbuf: Any) -> PendingRequest:
        return PendingRequest.of(self._alltoall("Ialltoallw", sendbuf, recvbuf, vector_of_types))

    def _alltoall(self, op: str, sendbuf: Any, recvbuf: Any, read: Callable[..., Buffer]) -> CollectiveWork:
        context = self._enter()
        size, even = context.comm.size, read is simple
        buffer = read(recvbuf, writable=True, blocks=size)
        outgoing = buffer if is_in_place(sendbuf) else read(sendbuf, writable=False, blocks=size)
        same_amount(outgoing.block(context.comm.rank), buffer.block(context.comm.rank))
        out, finish = gathered(buffer)
        source = outgoing.pack_blocks()
        gives, takes = outgoing.bytes_of_blocks(), buffer.bytes_of_blocks()

        def steps(channel: Channel) -> AlgorithmSteps:
            algorithm = fastest("all_to_all", source.nbytes, context) if even else naive.all_to_all
            return algorithm(channel, source, out, gives, takes)

        return self._collective(op, steps, finish, datatype=buffer.datatype,
                                count=elements(buffer.block(0)) if even else None)


def gathered(buffer: Buffer, skip: int = -1) -> tuple[np.ndarray, Callable[[], None] | None]:
    """Returns memory for the blocks of all ranks, and a function that copies the blocks to the buffer when
    they have arrived. If the blocks are contiguous in the buffer, the memory is the buffer's own, and the
    function is None. skip: a block that the function does not copy.
    """
    counts = buffer.bytes_of_blocks()
    starts = [buffer.offsets[0] + sum(counts[:rank]) for rank in range(len(counts))]
    if buffer.datatype.contiguous and not buffer.datatypes and list(buffer.offsets) == starts:
        return buffer.memory[starts[0]:starts[0] + sum(counts)], None
    out = np.empty(sum(counts), np.uint8)
    return out, lambda: buffer.unpack_blocks(out, skip)


def same_amount(sends: Buffer, receives: Buffer) -> None:
    """Raises ValueError if the two buffers have different sizes in bytes."""
    if sends.nbytes != receives.nbytes:
        raise ValueError(f"mismatch in send count {sends.count} ({sends.nbytes} bytes) and receive count "
                         f"{receives.count} ({receives.nbytes} bytes)")


def refuse_in_place(buf: Any) -> None:
    if isinstance(buf, InPlace):
        raise wrong("ERR_BUFFER", "only the root may pass MPI.IN_PLACE; pass this rank's buffer")


def element_size(buffer: Buffer) -> int:
    return buffer.datatype.base.itemsize if buffer.datatype.base is not None else 1


def elements(buffer: Buffer) -> int:
    """Returns the number of elements of one block."""
    return buffer.nbytes // element_size(buffer)
