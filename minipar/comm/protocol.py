"""The seam: every byte between ranks passes through these few calls.

An engine (threads, mpi, solo) writes `isend`, `irecv`, `wait`, `test`, `split` and nothing else; the blocking calls are made of
them here, once. Collectives are functions over this class, and wrappers (counting, tracing, checking, the clock, faults) are
Communicators that hold another Communicator.

The rules of the seam:
* Arrays are C-contiguous NumPy arrays of float32, float64, int64 (and the small integer types); anything else raises CommError.
* `isend` takes the array as it is: it must not change until the request is waited for. `irecv` fills `out`, whose shape and dtype
  are what the receiver expects; a message of another size or dtype raises CommError, it never delivers garbage.
* Two messages from one rank to another with the same tag arrive in the order in which they were sent.
* `why` is a short label ("gradients", "pipeline forward 3"): the key of counters, traces and error messages.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np


@dataclass(eq=False)
class Request:
    """A message on its way. `array` is the one sent or the one to fill; `handle` is the engine's own."""

    kind: str                                                       # "send" or "recv"
    peer: int
    tag: int
    array: np.ndarray
    why: str
    handle: object = None
    done: bool = False


class Communicator(ABC):
    """A group of ranks, seen from one of them. Ranks count from 0 to size - 1 within the group."""

    rank: int
    size: int

    @abstractmethod
    def isend(self, array: np.ndarray, dest: int, *, why: str, tag: int = 0) -> Request:
        """Start to send `array` to rank `dest`. Raises CommError for an array that cannot travel or a rank that is not there."""

    @abstractmethod
    def irecv(self, out: np.ndarray, source: int, *, why: str, tag: int = 0) -> Request:
        """Start to receive into `out` from rank `source`."""

    @abstractmethod
    def wait(self, request: Request) -> np.ndarray:
        """Return the request's array once it is done. Raises CommError where the message does not fit or can never come."""

    @abstractmethod
    def test(self, request: Request) -> bool:
        """Whether the request is done, without waiting; raises as `wait` does."""

    @abstractmethod
    def split(self, color: int | None, key: int = 0, *, why: str) -> Communicator | None:
        """One new communicator per color, ranks ordered by (key, old rank); None for the ranks whose color is None."""

    def send(self, array: np.ndarray, dest: int, *, why: str, tag: int = 0) -> None:
        self.wait(self.isend(array, dest, why=why, tag=tag))

    def recv(self, out: np.ndarray, source: int, *, why: str, tag: int = 0) -> np.ndarray:
        """Returns `out`, filled."""
        return self.wait(self.irecv(out, source, why=why, tag=tag))

    def sendrecv(self, array: np.ndarray, dest: int, out: np.ndarray, source: int, *, why: str, tag: int = 0) -> np.ndarray:
        """Send and receive at once: the step of every ring. Returns `out`, filled."""
        receiving = self.irecv(out, source, why=why, tag=tag)
        sending = self.isend(array, dest, why=why, tag=tag)
        self.wait(receiving)
        self.wait(sending)
        return out

    def barrier(self, *, why: str) -> None:
        """No rank leaves before every rank has entered: ceil(log2(size)) rounds (dissemination; Hensgen, Finkel, Manber 1988)."""
        nothing, ignored = np.empty(0, np.int64), np.empty(0, np.int64)
        distance = 1
        while distance < self.size:
            dest, source = (self.rank + distance) % self.size, (self.rank - distance) % self.size
            self.sendrecv(nothing, dest, ignored, source, why=why)
            distance *= 2
