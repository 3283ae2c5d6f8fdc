"""Defines the form of an algorithm, the channel on which an algorithm sends, and the two ways to run it.

An algorithm is a generator. It starts messages. If it cannot continue before a message is complete, it yields
the request of this message. So each algorithm is written once and can run in two ways. A blocking collective
calls `finish`, which waits for each message. A non-blocking collective returns a `Handle`, which tests the
messages when the program calls `test`. A lesson can run an algorithm step by step.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from types import GeneratorType

import numpy as np

from minipar.comm.diagnostics.call_site import this_call, wrong_call
from minipar.comm.diagnostics.in_flight import ArrayWatch
from minipar.comm.protocol import Communicator, Request
from minipar.errors import CommError

AlgorithmSteps = Generator[Request, None, None]


class Channel:
    """Some ranks of a communicator, with the label and the tag of one running collective. No message is sent
    to create a channel.

    The channel numbers its ranks from 0 to size - 1. Its rank i has the number `ranks[i]` in the
    communicator.
    """

    def __init__(self, comm: Communicator, label: str, tag: int, ranks: Sequence[int] | None = None) -> None:
        self.comm, self.label, self.tag = comm, label, tag
        self.ranks = range(comm.size) if ranks is None else ranks
        self.rank, self.size = self.ranks.index(comm.rank), len(self.ranks)

    def among(self, members: Sequence[int]) -> Channel:
        """Returns a channel for some ranks of this one, in this order. This rank must be one of them."""
        return Channel(self.comm, self.label, self.tag, [self.ranks[member] for member in members])

    def wrong(self, operation: str, item: str, text: str) -> CommError:
        """Returns the error for the argument `item` of this operation, with the label of the call."""
        return wrong_call(self.comm, self.label, operation, text, item=item)

    def send(self, array: np.ndarray, dest: int) -> Request:
        """Start to send the array. The array must not change until the request is complete."""
        return self.comm.isend(array, self.ranks[dest], label=self.label, tag=self.tag)

    def receive(self, out: np.ndarray, source: int) -> Request:
        """Start to receive into `out`."""
        return self.comm.irecv(out, self.ranks[source], label=self.label, tag=self.tag)


def exchange(channel: Channel, send_buffer: np.ndarray, dest: int, out: np.ndarray,
             source: int) -> AlgorithmSteps:
    """Send and receive at the same time. The receive starts first, so that the message can go directly into
    `out`.
    """
    receiving = channel.receive(out, source)
    sending = channel.send(send_buffer, dest)
    yield receiving
    yield sending


def meet(channel: Channel) -> AlgorithmSteps:
    """Run a barrier: no rank continues before every rank has called this function. It needs ceil(log2 size)
    rounds (Hensgen, Finkel, Manber 1988).
    """
    nothing, ignored = np.empty(0, np.uint8), np.empty(0, np.uint8)
    distance = 1
    while distance < channel.size:
        yield from exchange(channel, nothing, (channel.rank + distance) % channel.size,
                            ignored, (channel.rank - distance) % channel.size)
        distance *= 2


def finish(comm: Communicator, steps: AlgorithmSteps) -> None:
    """Run an algorithm to its end. Raises CommError if it is not a generator."""
    for request in as_steps(comm, "finish", steps):
        if type(request) is not Request:
            raise no_message(comm, "finish", request)
        comm.wait(request)


def as_steps(comm: Communicator, call: str, steps: AlgorithmSteps) -> AlgorithmSteps:
    """Returns the steps. Raises CommError if `steps` is not an iterator. The usual cause is a function
    without `yield`.
    """
    if type(steps) is GeneratorType or isinstance(steps, Iterator):  # the test of the type is quicker
        return steps
    raise wrong_call(comm, None, call, f"needs the steps of an algorithm, not {steps!r:.40}: an "
                     "algorithm is a generator, a function with `yield`, which yields each message that it "
                     "must wait for")


def no_message(comm: Communicator, call: str, given: object) -> CommError:
    return CommError(f"{this_call(comm, None, call)}: the algorithm yields {given!r:.40}; it may yield "
                     "only its messages, as in `yield channel.receive(out, source)`")


class Handle:
    """A started collective. `wait` returns its result. Before that, the program must not use its arrays.

    The collective makes progress only inside `test` and `wait`, so call `test` from time to time while
    computing.
    """

    def __init__(self, comm: Communicator, label: str, steps: AlgorithmSteps, source: np.ndarray,
                 result: np.ndarray) -> None:
        self._comm, self._steps, self._result = comm, steps, result
        # in checked mode, the program must not change the arrays between two steps
        self._watch = ArrayWatch(comm, comm.books, label, source, result) if comm.books else None
        self._pending = next(as_steps(comm, "start", steps), None)
        self._pause()

    def test(self) -> bool:
        """Make progress without waiting. Returns whether the collective is complete."""
        steps = 0
        while self._pending is not None:
            if not self._comm.test(self._pending):
                break
            self._step()
            steps += 1
        if steps:
            self._pause()
        return self._pending is None

    def wait(self) -> np.ndarray:
        while self._pending is not None:
            self._comm.wait(self._pending)
            self._step()
        self._pause()
        return self._result

    def _step(self) -> None:
        if self._watch is not None:
            self._watch.resume()
        self._pending = next(self._steps, None)

    def _pause(self) -> None:
        """Record the content of the arrays. The next step checks that the program has not changed it."""
        if self._watch is not None and self._pending is not None:
            self._watch.pause()
        elif self._watch is not None:
            self._watch.close()
            self._watch = None
