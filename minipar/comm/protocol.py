"""The communication protocol. Every byte between ranks passes through these few calls.

An engine moves the messages: between threads, between MPI processes, or within one process (solo). It
implements `isend`, `irecv`, `wait`, `test`, `subgroup` and `shared`. The blocking calls of this file use
these methods. Collectives are functions that take a communicator. Wrappers (counting, tracing, checking, the
clock, faults) are communicators that hold another one (`minipar.comm.wrappers.base`).

The rules:
* An array is a C-contiguous NumPy array of one of the DTYPES. Any other array raises CommError.
* `isend` does not copy the array: do not change it before the request is complete. `irecv` fills `out`. A
  message with another size or dtype raises CommError.
* Two messages from one rank to another with the same tag arrive in the order in which they were sent.
* A request is a started send or receive. Wait for each request once, or test it until it is complete. The end
  of a job reports the requests for which the program did neither.
* `label` names the purpose of a message ("gradients", "pipeline forward 3") in counters, traces and errors.
  The default is the line of the call: errors show it, but the ranks do not compare it.
* A collective first calls `tag = comm.entering(...)` and sends its messages with this tag.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minipar.comm.diagnostics.call_site import this_call, wrong_call
from minipar.errors import CommError

# The dtypes of messages. A dtype's code is its index in this list, so new dtypes go to the end.
DTYPES = [np.dtype(name) for name in ("f4", "f8", "i8", "i4", "u1", "i1", "i2", "u2", "u4", "u8", "f2", "?")]
CODES = {dtype: code for code, dtype in enumerate(DTYPES)}


class OwnTag(int):
    """A tag that minipar makes for its own messages. It never equals a tag of the program."""


# Programs use tags 0 to TAGS - 1. minipar uses TAGS to 2 * TAGS - 1.
TAGS = 1 << 14
COLLECTIVE_TAGS = range(TAGS, 2 * TAGS - 2)
LONGEST_TEXT = 1 << 24  # the longest text of one rank in `exchange_texts`, in bytes
CHECK_TAG, FINISH_TAG = OwnTag(2 * TAGS - 2), OwnTag(2 * TAGS - 1)

ANY = -1                                                            # stands for any source and any tag
NOT_GIVEN: Any = None  # default of a required argument, so that minipar raises the error if it is missing


class MessageEnvelope(NamedTuple):
    """Describes a message. Probes read it. type_code: the element type (`minipar.comm.message_types`)."""

    source: int
    tag: int
    type_code: int
    nbytes: int


@dataclass(eq=False, slots=True)
class Request:
    """A started send, receive or probe. Requests are compared and hashed by identity.

    array: the array to send or to fill. handle: the engine's own object. came: the fields of the envelope of
    the message that completed a receive of `irecv_message` or a probe, else None. content: in checked mode, a
    copy of the array at the start of a send, or the buffer for the header of a receive.
    """

    kind: str                                                       # "send", "recv" or "probe"
    peer: int
    tag: int
    array: np.ndarray
    label: str
    handle: Any = None
    done: bool = False
    type_code: int | None = None                                    # only for messages with an envelope
    came: tuple[int, int, int, int] | None = None  # a plain tuple, since each message makes one
    site: tuple[str, str] | None = None  # function and line of the call: ("send", "train.py:88")
    content: bytes | bytearray | None = None

    @property
    def envelope(self) -> MessageEnvelope | None:
        """Describes the message that came; None if none has come."""
        return None if self.came is None else MessageEnvelope(*self.came)


class Communicator(ABC):
    """A group of ranks, numbered from 0 to size - 1. Each of them has its own Communicator object.

    >>> import minipar as mp
    >>> mp.run(2, lambda comm: f"rank {comm.rank} of {comm.size}")
    ['rank 0 of 2', 'rank 1 of 2']
    """

    rank: int
    size: int
    name: str = "world"  # the `label` of the `split` call that made the group
    members: tuple[int, ...]  # the world rank of each rank of this group
    nodes: tuple[int, ...]  # the node (host) of each rank of this group
    preferred: Mapping[str, str] = {}  # name of a collective -> the algorithm that "auto" selects
    native: Any = None  # the MPI library's own collectives, if any
    collectives: int = 0  # number of collectives that this rank has entered
    checked: bool = False                                           # True if `overflowed` warns of overflows
    books: Any = None  # in checked mode: the Ledger of requests in flight
    staging: Any = None  # shared memory that the collectives keep for the next call

    @abstractmethod
    def isend(self, array: np.ndarray, dest: int, *, label: str | None = None, tag: int = 0) -> Request:
        """Start to send `array` to rank `dest`. Raises CommError for an invalid array or rank."""

    @abstractmethod
    def irecv(self, out: np.ndarray, source: int, *, label: str | None = None, tag: int = 0) -> Request:
        """Start to receive into `out` from rank `source`."""

    @abstractmethod
    def wait(self, request: Request) -> np.ndarray:
        """Wait for the request; returns its array. Raises CommError for a bad message or a deadlock."""

    @abstractmethod
    def test(self, request: Request) -> bool:
        """Returns whether the request is complete, without waiting. Raises the errors of `wait`."""

    @abstractmethod
    def subgroup(self, ranks: list[int], *, label: str | None = None) -> Communicator | None:
        """Returns a communicator for these ranks, in this order. Every rank calls this method with the ranks
        of the group that it joins. A rank that joins no group passes [] and gets None.
        """

    def agreed_group(self, ranks: list[int], *, label: str | None = None) -> Communicator | None:
        """Do the same as `subgroup`, but without a comparison of the lists, which are known to agree."""
        return self.subgroup(ranks, label=label)

    @abstractmethod
    def shared(self, nbytes: int, *, label: str | None = None) -> np.ndarray:
        """Returns one block of zeroed memory, uint8 [nbytes], that every rank of this group can read and
        write. All ranks call this method.

        Raises CommError if the group spans several nodes.
        """

    # Messages with a MessageEnvelope. The receiver of such a message need not know its sender, tag or length.
    # `irecv` never receives such a message. `wait` and `test` accept these requests, too.

    @abstractmethod
    def isend_message(self, data: np.ndarray, dest: int, *, type_code: int, tag: int = 0,
                      label: str | None = None, synchronous: bool = False) -> Request:
        """Start to send the bytes of `data`. synchronous: complete it only after its receive has begun."""

    @abstractmethod
    def irecv_message(self, out: np.ndarray | None, source: int, *, type_code: int, tag: int = 0,
                      label: str | None = None) -> Request:
        """Start to receive a message from `source` with `tag`; either may be ANY. out: a contiguous
        array, at least as long as the message; None for a message of any length. When the request is
        complete, `request.array` holds the bytes and `request.envelope` describes the message. A message that
        is too long or has another type raises CommError.
        """

    @abstractmethod
    def probe_message(self, source: int, *, tag: int = 0, label: str | None = None) -> Request:
        """Start to look for a message from `source` with `tag`; either may be ANY. When the message can be
        received, the request is complete and its `envelope` describes the message.
        """

    @abstractmethod
    def cancel_message(self, request: Request) -> bool:
        """Cancel a receive or a probe. Returns False if the request is already complete."""

    def forget_message(self, request: Request) -> None:
        """Record that the program will never wait for this send. `Checking` then forgets the request."""
        return None

    def send_message(self, data: np.ndarray, dest: int, *, type_code: int, tag: int = 0,
                     label: str | None = None, synchronous: bool = False) -> None:
        """Call `isend_message` and wait for its request."""
        self.wait(self.isend_message(data, dest, type_code=type_code, tag=tag, label=label,
                                     synchronous=synchronous))

    def recv_message(self, out: np.ndarray, source: int, *, type_code: int, tag: int = 0,
                     label: str | None = None) -> MessageEnvelope:
        """Call `irecv_message` with `out`, wait for its request, and return the envelope."""
        request = self.irecv_message(out, source, type_code=type_code, tag=tag, label=label)
        self.wait(request)
        assert request.envelope is not None
        return request.envelope

    @abstractmethod
    def open_messages(self) -> None:
        """Prepare messages with an envelope. All ranks of the group call this once, before the first one."""

    def close(self) -> None:
        """Record that the program no longer uses this group. The engine may free the group's data."""
        return None

    @abstractmethod
    def group_of(self, ranks: list[int], tag: int, *, label: str | None = None) -> Communicator:
        """Returns a communicator for these ranks, in this order. Only these ranks call this method."""

    def send(self, array: np.ndarray, dest: int = NOT_GIVEN, *, label: str | None = None,
             tag: int = 0) -> None:
        self.wait(self.isend(array, dest, label=label, tag=tag))

    def recv(self, out: np.ndarray, source: int = NOT_GIVEN, *, label: str | None = None,
             tag: int = 0) -> np.ndarray:
        """Receive from `source` into `out`, and return `out`."""
        return self.wait(self.irecv(out, source, label=label, tag=tag))

    def sendrecv(self, array: np.ndarray, dest: int, out: np.ndarray = NOT_GIVEN, source: int = NOT_GIVEN,
                 *, label: str | None = None, tag: int = 0) -> np.ndarray:
        """Send and receive at the same time, as in each step of a ring. Returns `out` after the receive."""
        receiving = self.irecv(out, source, label=label, tag=tag)
        sending = self.isend(array, dest, label=label, tag=tag)
        self.wait(receiving)
        self.wait(sending)
        return out

    def barrier(self, *, label: str | None = None) -> None:
        """Wait until every rank has called `barrier`. This dissemination barrier needs ceil(log2(size))
        rounds (Hensgen, Finkel, Manber 1988).
        """
        tag = self.entering("barrier", None, None, label=label)
        nothing, ignored = np.empty(0, np.int64), np.empty(0, np.int64)
        distance = 1
        while distance < self.size:
            dest, source = (self.rank + distance) % self.size, (self.rank - distance) % self.size
            self.sendrecv(nothing, dest, ignored, source, label=label, tag=tag)
            distance *= 2

    def entering(self, op: str, shape: tuple[int, ...] | None, dtype: np.dtype | None, *,
                 label: str | None = None, root: int | None = None, algorithm: str | None = None,
                 counts: Sequence[int] | None = None) -> int:
        """Begin a collective. Each collective calls this method once on every rank, before its first message.
        Returns the tag for the messages of this call.

        All ranks must pass the same `op` ("all_reduce sum"), `label`, `root`, `algorithm` and `counts` (each
        rank's rows). `shape` and `dtype` describe the array; its element count must be the same on all ranks.
        Each call gets its own tag, so two collectives can be in flight at once. `Checking` also compares the
        arguments that are not None. It raises CommError if they differ.
        """
        self.collectives += 1
        return OwnTag(COLLECTIVE_TAGS[self.collectives % len(COLLECTIVE_TAGS)])

    def overflowed(self, op: str, label: str) -> None:
        """A collective calls this method if finite numbers add up to infinity. `Checking` overrides it."""
        return None

    def split(self, color: int | None, key: int = 0, *, label: str | None = None) -> Communicator | None:
        """Make one new communicator per color. Its ranks are ordered by key, and for equal keys by old rank.
        Returns None on the ranks whose color is None.

        Raises CommError for a color or key that is not a 64-bit integer.
        """
        for name, number in (("color", 0 if color is None else color), ("key", key)):
            if not is_whole(number) or not -1 << 63 <= number < 1 << 63:
                raise wrong_call(self, label, "split", f"has {name} {number!r}, which is "
                                 "not a 64-bit integer; divide with //, or number the groups", item=name)
        tag = self.entering("split", None, None, label=label)
        mine = np.array([color is not None, color or 0, key], np.int64)
        table = exchange(self, mine, label=label, tag=tag)          # [size, 3]
        if color is None:
            return self.agreed_group([], label=label)
        alike = np.flatnonzero((table[:, 0] == 1) & (table[:, 1] == color))
        return self.agreed_group(alike[np.argsort(table[alike, 2], kind="stable")].tolist(), label=label)


def exchange(comm: Communicator, mine: np.ndarray, *, label: str | None, tag: int) -> np.ndarray:
    """Gather the small arrays of all ranks on every rank; returns [size, *mine.shape].

    It needs ceil(log2(size)) rounds (Bruck et al. 1997). `split` and `Checking` use it.
    """
    blocks = np.empty((comm.size, *mine.shape), mine.dtype)         # blocks[i]: from rank (rank + i) % size
    blocks[0] = mine
    have = 1
    while have < comm.size:
        take = min(have, comm.size - have)
        dest, source = (comm.rank - have) % comm.size, (comm.rank + have) % comm.size
        comm.sendrecv(blocks[:take], dest, blocks[have:have + take], source, label=label, tag=tag)
        have += take
    first = comm.size - comm.rank  # index of rank 0's block
    return np.concatenate([blocks[first:], blocks[:first]])


def exchange_texts(comm: Communicator, mine: str, *, label: str | None, tag: int) -> list[str]:
    """Gather the texts of all ranks on every rank. The ranks first exchange the lengths, then the texts. Each
    text is padded to the length of the longest one.

    Raises CommError for an invalid length, before memory is allocated.
    """
    encoded = mine.encode()
    lengths = exchange(comm, np.array([len(encoded)]), label=label, tag=tag)[:, 0]
    for rank, length in enumerate(lengths.tolist()):
        if not 0 <= length <= LONGEST_TEXT:
            raise CommError(f"{this_call(comm, label, 'exchange')}: rank {rank} announces a text of {length} "
                            f"bytes; 0 to {LONGEST_TEXT} are allowed")
    rows = exchange(comm, np.frombuffer(encoded.ljust(int(lengths.max())), np.uint8), label=label, tag=tag)
    return [row[:length].tobytes().decode() for row, length in zip(rows, lengths, strict=True)]


def is_whole(number: object) -> bool:
    """Returns whether `number` is an integer of Python or NumPy. Ranks and tags must be integers."""
    return isinstance(number, (int, np.integer))
