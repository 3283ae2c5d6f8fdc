"""Runs one collective call. First the ranks compare their arguments, then the algorithm runs.

An algorithm is a generator that yields messages (`minipar.comm.collectives.channel`). The blocking and the
non-blocking form of a call use the same generator. Bcast waits for all its messages. Ibcast returns a
request, and the wait for this request does the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minipar.comm.collectives.channel import AlgorithmSteps, Channel
from minipar.comm.collectives.select import select
from minipar.comm.collectives.table import find
from minipar.comm.diagnostics.call_site import call_site
from minipar.comm.message_types import TYPES
from minipar.comm.protocol import Communicator, Request
from minipar.mpi4py_face.agreement import account_of, agreement
from minipar.mpi4py_face.buffers import Buffer
from minipar.mpi4py_face.context import CommHandle, Context
from minipar.mpi4py_face.datatypes import Datatype
from minipar.mpi4py_face.work import CollectiveWork

CollectiveSteps = Callable[[Channel], AlgorithmSteps]


class ByteChannel(Channel):
    """A channel that sends arrays of any element type as bytes."""

    def among(self, members: Sequence[int]) -> ByteChannel:
        return ByteChannel(self.comm, self.label, self.tag, [self.ranks[member] for member in members])

    def send(self, array: np.ndarray, dest: int) -> Request:
        return super().send(array.view(np.uint8), dest)

    def receive(self, out: np.ndarray, source: int) -> Request:
        return super().receive(out.view(np.uint8), source)


class Collective(CommHandle):
    """The base class of all collective calls, for buffers and for objects."""

    def _collective(self, op: str, steps: CollectiveSteps, finish: Callable[[], Any] | None = None, *,
                    count: int | None = None,
                    datatype: Datatype | None = None, root: int | None = None,
                    counts: Sequence[int] | None = None) -> CollectiveWork:
        """Begin a collective. steps: a function that returns the algorithm for a channel. finish: a function
        to call at the end. The other arguments must be equal on all ranks.
        """
        context = self._enter()
        comm = context.comm
        number = comm.collectives
        label = call_site()
        tag = comm.entering(op, None if count is None else (count,),
                            None if datatype is None else datatype.base,
                            label=label, root=root)
        phases: list[tuple[Communicator, AlgorithmSteps]] = []
        if comm.checked and comm.size > 1:
            element = None if datatype is None else TYPES[datatype.type_code].name
            account = account_of(op, count, element, root, counts, number)
            phases.append((context.engine, agreement(Channel(context.engine, label, tag), account)))
        phases.append((comm, steps(ByteChannel(comm, label, tag))))
        return CollectiveWork(phases, finish)


def fastest(operation: str, nbytes: int, context: Context) -> Callable[..., AlgorithmSteps]:
    """Returns the communicator's preferred algorithm. Without a preferred one, returns the fastest one by the
    cost model (`minipar.comm.collectives.select`).
    """
    name = context.comm.preferred.get(operation) or select(operation, nbytes, context.comm.size)
    return find(operation, name)


def typed(buffer: Buffer) -> np.ndarray:
    """Returns the elements of the message as an array of their type. The array is a view if possible."""
    assert buffer.datatype.base is not None
    return buffer.pack().view(buffer.datatype.base)
