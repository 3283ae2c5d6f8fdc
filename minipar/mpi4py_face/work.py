"""The operations of requests: a message, an exchange, a collective, or an operation that does nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from minipar.comm.collectives.channel import AlgorithmSteps
from minipar.comm.protocol import Communicator, MessageEnvelope
from minipar.comm.protocol import Request as Message
from minipar.mpi4py_face.buffers import Buffer
from minipar.mpi4py_face.exceptions import wrong

Decode = Callable[[np.ndarray], Any]


class Work:
    """A running operation. This base class stands for an operation that is complete from the start, such as a
    message to PROC_NULL.
    """

    envelope: MessageEnvelope | None = None
    from_nobody = False
    cancelled = False
    result: Any = None

    def __init__(self, from_nobody: bool = False) -> None:
        self.from_nobody = from_nobody

    def test(self) -> bool:
        return True

    def wait(self) -> None:
        """Wait until the operation is complete. Afterwards `result` is the received object, for lower-case
        calls.
        """

    def cancel(self) -> None:
        raise wrong("ERR_REQUEST", "this request cannot be cancelled; only receives and probes can")

    def forget(self) -> None:
        """Record that the program will not wait for this operation."""


class MessageWork(Work):
    """A message. buffer: the buffer for its bytes. decode: the function that converts its bytes to an object.
    """

    finished = False

    def __init__(self, comm: Communicator, message: Message, buffer: Buffer | None = None,
                 decode: Decode | None = None) -> None:
        self.comm, self.message, self.buffer, self.decode = comm, message, buffer, decode

    def test(self) -> bool:
        if not self.finished and self.comm.test(self.message):
            self.finish()
        return self.finished

    def wait(self) -> None:
        if not self.finished:
            self.comm.wait(self.message)
            self.finish()

    def finish(self) -> None:
        self.finished, self.envelope = True, self.message.envelope
        if self.envelope is None:                                   # this is a send
            return
        if self.buffer is not None:
            self.buffer.unpack(self.message.array[:self.envelope.nbytes])
        elif self.decode is not None:
            self.result = self.decode(self.message.array[:self.envelope.nbytes])

    def cancel(self) -> None:
        if not self.finished and self.message.kind != "send" and self.comm.cancel_message(self.message):
            self.finished = self.cancelled = True

    def forget(self) -> None:
        if self.message.kind == "send":
            self.comm.forget_message(self.message)


class ExchangeWork(Work):
    """A receive and a send that run at the same time."""

    def __init__(self, receiving: Work, sending: Work) -> None:
        super().__init__()
        self.receiving, self.sending = receiving, sending

    def test(self) -> bool:
        if not all([self.receiving.test(), self.sending.test()]):
            return False
        self.wait()
        return True

    def wait(self) -> None:
        self.receiving.wait()
        self.sending.wait()
        self.envelope, self.from_nobody = self.receiving.envelope, self.receiving.from_nobody


class CollectiveWork(Work):
    """A collective. phases: generators, which yield each message that the rank must wait for. finish: a
    function that is called at the end.
    """

    def __init__(self, phases: Iterable[tuple[Communicator, AlgorithmSteps]],
                 finish: Callable[[], Any] | None = None) -> None:
        super().__init__()
        self.pending = ((comm, message) for comm, steps in phases for message in steps)
        self.finish = finish
        self.now = next(self.pending, None)

    def test(self) -> bool:
        while self.now is not None:
            comm, message = self.now
            if not comm.test(message):
                return False
            self.now = next(self.pending, None)
        self.end()
        return True

    def wait(self) -> None:
        while self.now is not None:
            comm, message = self.now
            comm.wait(message)
            self.now = next(self.pending, None)
        self.end()

    def end(self) -> None:
        if self.finish is not None:
            self.result, self.finish = self.finish(), None
