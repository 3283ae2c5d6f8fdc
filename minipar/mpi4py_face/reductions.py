"""Collectives that reduce buffers: Reduce, Allreduce, Reduce_scatter, Scan and others.

For a commutative operation, the fastest algorithm is used. An operation that is not commutative is computed
in the order of the ranks. In a Scan, each rank receives the result of the ranks before it, and sends its own
result to the next rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minipar.comm.collectives.algorithms import naive
from minipar.comm.collectives.channel import AlgorithmSteps, Channel
from minipar.mpi4py_face.buffers import Buffer, simple
from minipar.mpi4py_face.calls import Collective, fastest, typed
from minipar.mpi4py_face.collectives import elements, refuse_in_place
from minipar.mpi4py_face.context import check_root
from minipar.mpi4py_face.exceptions import wrong
from minipar.mpi4py_face.host_memory import is_in_place
from minipar.mpi4py_face.ops import PREDEFINED, CombineArrays, Op
from minipar.mpi4py_face.requests import PendingRequest
from minipar.mpi4py_face.work import CollectiveWork

SUM = PREDEFINED["SUM"]


class Reductions(Collective):
    """The upper-case calls that reduce buffers. Their non-blocking forms return a request."""

    def Reduce(self, sendbuf: Any, recvbuf: Any = None, op: Op = SUM, root: int = 0) -> None:
        self._reduce("Reduce", sendbuf, recvbuf, op, root).wait()

    def Ireduce(self, sendbuf: Any, recvbuf: Any = None, op: Op = SUM, root: int = 0) -> PendingRequest:
        return PendingRequest.of(self._reduce("Ireduce", sendbuf, recvbuf, op, root))

    def _reduce(self, name: str, sendbuf: Any, recvbuf: Any, op: Op, root: int) -> CollectiveWork:
        context = self._enter()
        root = check_root(context, root)
        if context.comm.rank == root:
            source, buffer = pair(sendbuf, recvbuf)
        else:
            refuse_in_place(sendbuf)
            source = buffer = simple(sendbuf, writable=False)
        terms, total = typed(source), np.empty(elements(buffer), buffer.datatype.base)
        combine = op.combine(buffer.datatype)

        def steps(channel: Channel) -> AlgorithmSteps:
            algorithm = fastest("reduce", terms.nbytes, context) if op.commute else naive.reduce
            return algorithm(channel, terms, total, combine, root)

        return self._collective(f"{name} {op_name(op)}", steps,
                                (lambda: buffer.unpack(total.view(np.uint8))) if context.comm.rank == root
                                else None,
                                count=elements(buffer), datatype=buffer.datatype, root=root)

    def Allreduce(self, sendbuf: Any, recvbuf: Any, op: Op = SUM) -> None:
        self._allreduce("Allreduce", sendbuf, recvbuf, op).wait()

    def Iallreduce(self, sendbuf: Any, recvbuf: Any, op: Op = SUM) -> PendingRequest:
        return PendingRequest.of(self._allreduce("Iallreduce", sendbuf, recvbuf, op))

    def _allreduce(self, name: str, sendbuf: Any, recvbuf: Any, op: Op) -> CollectiveWork:
        context = self._enter()
        source, buffer = pair(sendbuf, recvbuf)
        terms, total = typed(source), np.empty(elements(buffer), buffer.datatype.base)
        combine = op.combine(buffer.datatype)

        def steps(channel: Channel) -> AlgorithmSteps:
            algorithm = fastest("all_reduce", terms.nbytes, context) if op.commute else naive.all_reduce
            return algorithm(channel, terms, total, combine)

        return self._collective(f"{name} {op_name(op)}", steps, lambda: buffer.unpack(total.view(np.uint8)),
                                count=elements(buffer), datatype=buffer.datatype)

    def Reduce_scatter_block(self, sendbuf: Any, recvbuf: Any, op: Op = SUM) -> None:
        self._reduce_scatter("Reduce_scatter_block", sendbuf, recvbuf, None, op).wait()

    def Ireduce_scatter_block(self, sendbuf: Any, recvbuf: Any, op: Op = SUM) -> PendingRequest:
        return PendingRequest.of(self._reduce_scatter("Ireduce_scatter_block", sendbuf, recvbuf, None, op))

    def Reduce_scatter(self, sendbuf: Any, recvbuf: Any, recvcounts: Sequence[int] | None = None,
                       op: Op = SUM) -> None:
        self._reduce_scatter("Reduce_scatter", sendbuf, recvbuf, recvcounts, op).wait()

    def Ireduce_scatter(self, sendbuf: Any, recvbuf: Any, recvcounts: Sequence[int] | None = None,
                        op: Op = SUM) -> PendingRequest:
        return PendingRequest.of(self._reduce_scatter("Ireduce_scatter", sendbuf, recvbuf, recvcounts, op))

    def _reduce_scatter(self, name: str, sendbuf: Any, recvbuf: Any, recvcounts: Sequence[int] | None,
                        op: Op) -> CollectiveWork:
        context = self._enter()
        size, rank, blocks = context.comm.size, context.comm.rank, "block" in name
        buffer = simple(recvbuf, writable=True)
        in_place = is_in_place(sendbuf)
        source = buffer if in_place else simple(sendbuf, writable=False)
        in_place = in_place or is_same_memory(source, buffer)
        if not in_place:
            refuse_aliases(source, buffer)
        if recvcounts is None and (blocks or in_place):
            counts = even_counts(elements(source), size, blocks)
        elif recvcounts is None:
            counts = self._counts_of_all(elements(buffer))
        else:
            counts = [int(count) for count in recvcounts]
        if len(counts) != size or sum(counts) != elements(source):
            raise ValueError(f"mismatch in send count {elements(source)} and receive counts {counts}; they "
                             f"must be {size} numbers that add up to it")
        if not in_place and counts[rank] > elements(buffer):
            raise ValueError(f"mismatch in receive count {counts[rank]} and receive buffer of "
                             f"{elements(buffer)}")
        terms, own = typed(source), np.empty(counts[rank], buffer.datatype.base)
        combine = op.combine(buffer.datatype)

        def steps(channel: Channel) -> AlgorithmSteps:
            algorithm = fastest("reduce_scatter", terms.nbytes,
                                context) if op.commute else naive.reduce_scatter
            return algorithm(channel, terms, own, counts, combine)

        return self._collective(f"{name} {op_name(op)}", steps, lambda: buffer.unpack(own.view(np.uint8)),
                                count=elements(source), datatype=buffer.datatype, counts=counts)

    def _counts_of_all(self, mine: int) -> list[int]:
        """Exchange the sizes of the ranks' receive buffers, for a call without `recvcounts`."""
        table = np.zeros(self._enter().comm.size, np.int64)
        table[self._enter().comm.rank] = mine

        def steps(channel: Channel) -> AlgorithmSteps:
            return naive.all_gather(channel, table, [1] * table.size)

        self._collective("Reduce_scatter counts", steps).wait()
        return [int(count) for count in table]

    def Scan(self, sendbuf: Any, recvbuf: Any, op: Op = SUM) -> None:
        self._scan("Scan", sendbuf, recvbuf, op).wait()

    def Iscan(self, sendbuf: Any, recvbuf: Any, op: Op = SUM) -> PendingRequest:
        return PendingRequest.of(self._scan("Iscan", sendbuf, recvbuf, op))

    def Exscan(self, sendbuf: Any, recvbuf: Any, op: Op = SUM) -> None:
        self._scan("Exscan", sendbuf, recvbuf, op).wait()

    def Iexscan(self, sendbuf: Any, recvbuf: Any, op: Op = SUM) -> PendingRequest:
        return PendingRequest.of(self._scan("Iexscan", sendbuf, recvbuf, op))

    def _scan(self, name: str, sendbuf: Any, recvbuf: Any, op: Op) -> CollectiveWork:
        context = self._enter()
        source, buffer = pair(sendbuf, recvbuf)
        terms = typed(source).copy()
        before, total = np.empty_like(terms), np.empty_like(terms)
        combine = op.combine(buffer.datatype)
        exclusive = "xscan" in name

        def finish() -> None:
            if not exclusive:
                buffer.unpack(total.view(np.uint8))
            elif context.comm.rank > 0:                             # MPI leaves rank 0's buffer unchanged
                buffer.unpack(before.view(np.uint8))

        return self._collective(f"{name} {op_name(op)}",
                                lambda channel: scan(channel, terms, before, total, combine),
                                finish, count=elements(buffer), datatype=buffer.datatype)


def scan(channel: Channel, terms: np.ndarray, before: np.ndarray, total: np.ndarray,
         combine: CombineArrays) -> AlgorithmSteps:
    """Run a scan. It needs size - 1 messages, one after the other. The array `before` gets the reduction over
    the ranks before this one. The array `total` gets the reduction over these ranks and this one.
    """
    if channel.rank == 0:
        np.copyto(total, terms)
    else:
        yield channel.receive(before, channel.rank - 1)
        combine(before, terms, out=total)
    if channel.rank + 1 < channel.size:
        yield channel.send(total, channel.rank + 1)


def pair(sendbuf: Any, recvbuf: Any) -> tuple[Buffer, Buffer]:
    """Returns (send buffer, receive buffer). Raises ValueError unless both have the same number of items and
    the same type.
    """
    buffer = simple(recvbuf, writable=True)
    if is_in_place(sendbuf):
        return buffer, buffer
    source = simple(sendbuf, writable=False)
    if is_same_memory(source, buffer):                              # raises the same error as mpi4py
        return buffer, buffer
    refuse_aliases(source, buffer)
    if elements(source) != elements(buffer):
        raise ValueError(f"mismatch in send count {elements(source)} and receive count {elements(buffer)}")
    if source.datatype.type_code != buffer.datatype.type_code:
        raise ValueError(f"mismatch in send and receive MPI datatypes: {source.datatype.name} and "
                         f"{buffer.datatype.name}")
    return source, buffer


def is_same_memory(source: Buffer, buffer: Buffer) -> bool:
    return (source.memory.ctypes.data == buffer.memory.ctypes.data and source.offset == buffer.offset
            and source.nbytes == buffer.nbytes)


def refuse_aliases(source: Buffer, buffer: Buffer) -> None:
    if source.nbytes and np.may_share_memory(source.memory, buffer.memory):
        raise wrong("ERR_BUFFER", "the send and the receive buffer are the same memory; pass MPI.IN_PLACE as "
                                  "the send "
                    "buffer, or another array")


def even_counts(count: int, size: int, blocks: bool) -> list[int]:
    if blocks and count % size:
        raise ValueError(f"message: cannot infer count, number of entries {count} is not a multiple of "
                         f"required number of blocks {size}")
    return [count // size + (rank < count % size) for rank in range(size)]


def op_name(op: Op) -> str:
    return f"MPI.{op.name}" if op.name else "with an operation of the program"
