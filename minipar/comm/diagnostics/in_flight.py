"""Arrays in flight: nobody may write to what is being sent, nor touch what is being received, until the
request, or the collective that was started, is waited for.

Plain MPI lets both pass, and then the message holds old values on one machine and new ones on another.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from minipar.comm.diagnostics.call_site import caller, quoted, this_call
from minipar.comm.protocol import TAGS, Communicator, Request
from minipar.errors import CommError

if TYPE_CHECKING:
    from minipar.comm.diagnostics.ledger import Ledger

# bytes up to which all of an array is kept; words that are taken of a larger one
WHOLE, SAMPLES = 1 << 16, 4096


class Use(NamedTuple):
    """Memory in flight: "sent", "received into", "read" or "written"; by which call, on which line."""

    array: np.ndarray
    verb: str
    call: str
    label: str
    location: str


def snapshot(array: np.ndarray) -> bytes:
    """The whole array up to 64 KiB; above that a fixed sample of at most 4,096 words. array: contiguous.

    Two copies are compared in less time than one checksum takes.
    """
    if array.nbytes <= WHOLE:
        return array.tobytes()
    raw = array.reshape(-1).view(np.uint8)
    words = raw[:raw.size // 8 * 8].view(np.uint64)
    stride = -(-words.size // SAMPLES) | 1  # odd, so that it does not always hit one column
    return words[::stride].tobytes() + raw[-8:].tobytes()


def uses(ledger: Ledger) -> Iterator[Use]:
    """All that is in flight on this rank: messages of the program, and collectives that were started."""
    messages = ((request, about[-1]) for request, about in ledger.open.items() if request.tag < TAGS)
    for request, location in chain(messages, ledger.letters.in_flight()):
        if request.array is not None:
            verb = "sent" if request.kind == "send" else "received into"
            yield Use(request.array, verb, request.kind, request.label, location)
    for watch in ledger.running:
        yield from watch.uses()


def refuse_overlap(comm: Communicator, ledger: Ledger, array: np.ndarray, call: str, label: str | None,
                   *, writes: bool, receives: bool = True) -> None:
    """Raises CommError if a call would write to memory that is in flight, or read what is being written
    there. receives: whether a receive into memory that another one receives into counts.
    """
    # once per message, so the good case comes first
    if not (ledger.running or ledger.letters.open
            or any(np.may_share_memory(array, request.array) for request in ledger.open)):
        return
    for use in uses(ledger):
        if use.verb == "received into" and writes and not receives:
            continue
        if (writes or use.verb in ("received into", "written")) and np.may_share_memory(array, use.array):
            raise CommError(f"{this_call(comm, label, call)} uses memory that is still being {use.verb} by "
                            f"the {use.call}{quoted(use.label)} started at {use.location}; wait for that first, "
                            "or use another array")


def refuse_change(comm: Communicator, request: Request, before: bytes, location: str) -> None:
    """Raises CommError if an array that was being sent is not what it was when its send began."""
    if snapshot(request.array) != before:
        start = f"{this_call(comm, request.label, 'send')} to rank {request.peer}"
        raise CommError(changed(start, request.array, "isend", location))


def changed(start: str, array: np.ndarray, call: str, location: str) -> str:
    return (f"{start}: the array, {array.shape} {array.dtype}, was changed between {call} at {location} and "
            f"{caller()[0]}; it must stay as it is until then: wait first, or use a copy")


class ArrayWatch:
    """A collective that was started: the arrays that it reads and writes, as they were when it last paused.

    While the program computes, nothing in them may change but the pieces that messages are being received
    into.
    """

    def __init__(self, comm: Communicator, ledger: Ledger, label: str, source: np.ndarray,
                 out: np.ndarray) -> None:
        self.comm, self.ledger, self.label, self.source, self.out = comm, ledger, label, source, out
        self.call, self.location = caller()
        self.paused: list[tuple[np.ndarray, np.ndarray, bytes]] = []  # array, a piece of it, as it was
        ledger.running.append(self)

    def uses(self) -> Iterator[Use]:
        yield Use(self.source, "read", self.call, self.label, self.location)
        yield Use(self.out, "written", self.call, self.label, self.location)

    def pause(self) -> None:
        """The program goes on."""
        filled = [request.array for request in self.ledger.open if request.kind == "recv"]
        arrays = [self.out] if self.source is self.out else [self.source, self.out]
        self.paused = [(array, piece, snapshot(piece)) for array in arrays for piece in quiet(array, filled)]

    def resume(self) -> None:
        """The collective goes on. Raises CommError if the program has changed an array meanwhile."""
        paused, self.paused = self.paused, []
        for array, piece, before in paused:
            if snapshot(piece) != before:
                raise CommError(changed(this_call(self.comm, self.label, self.call), array, self.call,
                                        self.location))

    def close(self) -> None:
        self.ledger.running.remove(self)


def quiet(array: np.ndarray, filled: list[np.ndarray]) -> Iterator[np.ndarray]:
    """The pieces of an array that none of the other arrays lies in. All are contiguous."""
    raw = array.view(np.ndarray).reshape(-1).view(np.uint8)
    first = start = raw.ctypes.data
    for low, high in sorted(np.lib.array_utils.byte_bounds(other) for other in filled
                            if np.may_share_memory(raw, other)):
        yield raw[start - first:max(low, start) - first]
        start = max(start, high)
    yield raw[start - first:]
