"""The request that Isend and Irecv return for one NumPy array. Programs make many of these requests, so this
is a quick form of `PendingRequest`.
"""

from __future__ import annotations

from minipar.comm.protocol import Communicator
from minipar.comm.protocol import Request as Message
from minipar.mpi4py_face.requests import PendingRequest
from minipar.mpi4py_face.status import Status
from minipar.mpi4py_face.work import MessageWork, Work

NEW = object.__new__  # a call of the class takes twice as long


class MessageRequest(PendingRequest):
    """The request of a message of one array. It makes its `MessageWork` only if the program does more than
    wait for it with Wait.
    """

    __slots__ = "_comm", "_message", "_made"
    _comm: Communicator
    _message: Message | None                                        # None after `_made` is set
    _made: Work | None

    @property
    def _work(self) -> Work | None:
        if self._message is not None:
            self._work = MessageWork(self._comm, self._message)
        return self._made

    @_work.setter
    def _work(self, work: Work | None) -> None:
        self._made, self._message = work, None

    def Wait(self, status: Status | None = None) -> bool:
        message = self._message
        if message is None:
            return super().Wait(status)
        self._comm.wait(message)
        self._made = self._message = None
        if status is not None:
            status.fill(message.envelope)
        return True


MessageRequest.__name__ = MessageRequest.__qualname__ = "Request"   # as in mpi4py


def request_of(comm: Communicator, message: Message) -> MessageRequest:
    """Returns the request of a message that was started with isend_message or irecv_message."""
    new = NEW(MessageRequest)
    new._comm, new._message = comm, message
    return new
