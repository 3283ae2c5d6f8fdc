"""Checks arrays in flight: arrays of requests and collectives that the program has started but not waited
for. The program must not write to such an array while it is sent. It must not use such an array while it is
received.

MPI does not check this rule. If a program breaks it, a message may hold the old values on one machine and the
new values on another.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy import may_share_memory, ndarray

from minipar.comm.diagnostics.call_site import caller, quoted, this_call, wrong_call
from minipar.comm.protocol import TAGS, Communicator, Request
from minipar.errors import CommError

if TYPE_CHECKING:
    from minipar.comm.diagnostics.ledger import Ledger

# A snapshot copies an array of up to WHOLE bytes. Of a larger array, it copies two groups of HALF runs. A run
# is RUN bytes. The first group starts at the first byte, and the second group ends at the last byte.
WHOLE, HALF, RUN = 1 << 16, 64, 256
GROUPS, ONE_RUN = (2, HALF), np.dtype((np.void, RUN))


class Use(NamedTuple):
    """Memory in flight. verb: "sent", "received into", "read" or "written". call, location: the call that
    uses the memory, and its line.
    """

    array: np.ndarray
    verb: str
    call: str
    label: str
    location: str


def snapshot(array: np.ndarray) -> bytes:
    """Returns the bytes of an array of up to 64 KiB. For a larger array, returns 32 KiB of its bytes, always
    from the same positions. array: contiguous.

    A comparison of two copies takes less time than a checksum.
    """
    if array.nbytes <= WHOLE:
        return array.tobytes()
    last = array.nbytes - RUN                                       # the first byte of the last run
    # The step is the distance from one run to the next, in bytes. It is an odd number of words of 8 bytes, so
    # the runs cover all columns of a matrix. Example: 100,000 bytes have last = 99,744 and last // 127 = 785.
    # The step is then 776 bytes, which are 97 words.
    step = last // (2 * HALF - 1) - 8 & -8 | 8
    runs: np.ndarray = ndarray(GROUPS, ONE_RUN, array, 0, (last - (HALF - 1) * step, step))
    return runs.tobytes()


def has_changed(array: np.ndarray, content: bytes | bytearray) -> bool:
    """Returns whether an array differs from its earlier `snapshot`."""
    if array.nbytes <= WHOLE:
        # compare the bytes without a copy; an array is a buffer
        return not content.startswith(array)                        # type: ignore[arg-type]
    return snapshot(array) != content


def uses(ledger: Ledger) -> Iterator[Use]:
    """Yields all memory in flight on this rank: messages of the program, and started collectives."""
    messages = ((request, request.site[1] if request.site else "") for request in ledger.open
                if request.tag < TAGS)
    for request, location in chain(messages, ledger.letters.in_flight()):
        if request.array is not None:
            verb = "sent" if request.kind == "send" else "received into"
            yield Use(request.array, verb, request.kind, request.label, location)
    for watch in ledger.running:
        yield from watch.uses()


def refuse_overlap(comm: Communicator, ledger: Ledger, array: np.ndarray, call: str, label: str | None,
                   *, writes: bool, receives: bool = True) -> None:
    """Raises CommError if a call writes to memory in flight, or reads memory that is being written. receives:
    whether a second receive into the same memory is also an error.
    """
    if is_free(ledger, array):
        return
    for use in uses(ledger):
        if use.verb == "received into" and writes and not receives:
            continue
        if (writes or use.verb in ("received into", "written")) and np.may_share_memory(array, use.array):
            raise wrong_call(comm, label, call, f"uses memory that is still being {use.verb} by "
                             f"the {use.call}{quoted(use.label)} started at {use.location}; wait for that "
                             "first, or use another array", kind="overlap", verb=use.verb,
                             other_label=use.label)


def is_free(ledger: Ledger, array: np.ndarray | None) -> bool:
    """Returns whether an array certainly overlaps no memory in flight. This runs once per message."""
    if type(array) is not ndarray or ledger.running:
        return False
    owner = array.base
    if owner is None:                                               # the array owns its memory
        owner, owns = array, True
    else:
        owns = type(owner) is ndarray and owner.base is None
    letters, messages = ledger.letters.open, ledger.open
    for request in chain(letters, messages) if letters and messages else letters or messages:
        other = request.array
        if other is None:
            continue
        if owns:
            # two arrays that own their memory cannot overlap, nor can their views
            holder = other.base
            if holder is None:
                if other is not owner:
                    continue
            elif holder is not owner and type(holder) is ndarray and holder.base is None:
                continue
        if may_share_memory(array, other):
            return False
    return True


def change(comm: Communicator, request: Request, location: str | None = None) -> CommError:
    """Returns the error for an array that has changed since its send began. location: the line of the send
    (default: the site of the request).
    """
    if location is None:
        location = request.site[1] if request.site else ""
    start = f"{this_call(comm, request.label, 'send')} to rank {request.peer}"
    return CommError(changed(start, request.array, "isend", location), kind="changed", operation="send",
                     label=request.label)


def changed(start: str, array: np.ndarray, call: str, location: str) -> str:
    return (f"{start}: the array, {array.shape} {array.dtype}, was changed between {call} at {location} and "
            f"{caller()[0]}; it must not change until then: wait first, or use a copy")


class ArrayWatch:
    """Watches the arrays of a started collective for changes by the program.

    The collective runs only inside `test` and `wait`. Between these calls it is paused, and the program runs.
    During a pause, only pieces into which messages are received may change.
    """

    def __init__(self, comm: Communicator, ledger: Ledger, label: str, source: np.ndarray,
                 out: np.ndarray) -> None:
        self.comm, self.ledger, self.label, self.source, self.out = comm, ledger, label, source, out
        self.call, self.location = caller()
        # an array, a piece of it, and the content of the piece
        self.paused: list[tuple[np.ndarray, np.ndarray, bytes]] = []
        ledger.running.append(self)

    def uses(self) -> Iterator[Use]:
        yield Use(self.source, "read", self.call, self.label, self.location)
        yield Use(self.out, "written", self.call, self.label, self.location)

    def pause(self) -> None:
        """Store the content of the arrays before the program continues."""
        filled = [request.array for request in self.ledger.open if request.kind == "recv"]
        arrays = [self.out] if self.source is self.out else [self.source, self.out]
        self.paused = [(array, piece, snapshot(piece)) for array in arrays for piece in quiet(array, filled)]

    def resume(self) -> None:
        """Check the arrays before the collective continues. Raises CommError if the program has changed an
        array.
        """
        paused, self.paused = self.paused, []
        for array, piece, before in paused:
            if snapshot(piece) != before:
                raise CommError(changed(this_call(self.comm, self.label, self.call), array, self.call,
                                        self.location), kind="changed", operation=self.call, label=self.label)

    def close(self) -> None:
        self.ledger.running.remove(self)


def quiet(array: np.ndarray, filled: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Yields the pieces of an array that do not overlap any array in `filled`. All arrays are contiguous."""
    raw = array.view(np.ndarray).reshape(-1).view(np.uint8)
    first = start = raw.ctypes.data
    for low, high in sorted(np.lib.array_utils.byte_bounds(other) for other in filled
                            if np.may_share_memory(raw, other)):
        yield raw[start - first:max(low, start) - first]
        start = max(start, high)
    yield raw[start - first:]
