"""The communication protocol: every byte between ranks passes through these few calls.

An engine (threads, mpi, solo) implements `isend`, `irecv`, `wait`, `test`, `subgroup` and `shared`; the
blocking calls are built on them here. Collectives are functions over this class, and wrappers (counting,
tracing, checking, the clock, faults) are Communicators that hold another Communicator
(`minipar.comm.wrappers.base`).

The rules:
* Arrays are C-contiguous NumPy arrays of one of the DTYPES; anything else raises CommError.
* `isend` does not copy the array: do not change it before the request is complete. `irecv` fills `out`; a
  message of another size or dtype than `out` raises CommError.
* Two messages from one rank to another with the same tag arrive in the order in which they were sent.
* Wait for each request once, or test it until it is complete. Other requests are reported at the job's end.
* `label` names the purpose of a message ("gradients", "pipeline forward 3") in counters, traces and errors.
  The default label is the line of the call; it is shown in messages but never compared between ranks.
* A collective first calls `tag = comm.entering(...)` and sends its messages with this tag.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minipar.comm.diagnostics.call_site import CallSite, this_call
from minipar.errors import CommError

# The dtypes of messages. A dtype's code is its index in this list, so new dtypes go to the end.
DTYPES = [np.dtype(name) for name in ("f4", "f8", "i8", "i4", "u1", "i1", "i2", "u2", "u4", "u8", "f2", "?")]
CODES = {dtype: code for code, dtype in enumerate(DTYPES)}


class OwnTag(int):
    """A tag made by minipar itself: a program's message cannot be mistaken for a collective's."""


# Programs use tags 0 to TAGS - 1. minipar uses TAGS to 2 * TAGS - 1.
TAGS = 1 << 14
COLLECTIVE_TAGS = range(TAGS, 2 * TAGS - 2)
LONGEST_TEXT = 1 << 24  # largest text of a rank in an exchange, in bytes
CHECK_TAG, FINISH_TAG = OwnTag(2 * TAGS - 2), OwnTag(2 * TAGS - 1)


ANY = -1                                                            # any source, any tag
NOT_GIVEN: Any = None  # default of a required argument, so that our error can name the missing one


class MessageEnvelope(NamedTuple):
    """A message's header, known before the receive. type_code: see `minipar.comm.message_types`."""

    source: int
    tag: int
    type_code: int
    nbytes: int


@dataclass(eq=False, slots=True)
class Request:
    """A message in flight. array: the array to send or to fill. handle: the engine's own object. Requests are
    compared and hashed by identity.

    envelope: for messages with an envelope (see `isend_message`); None for others, and for a receive or a
    probe until it is complete.
    """

    kind: str                                                       # "send", "recv" or "probe"
    peer: int
    tag: int
    array: np.ndarray
    label: str
    handle: Any = None
    done: bool = False
    type_code: int | None = None                                    # of a message with an envelope
    envelope: MessageEnvelope | None = None
    site: tuple[str, str] | None = None                             # the call: ("send", "train.py:88")


class Communicator(ABC):
    """A group of ranks, seen from one of them. Ranks count from 0 to size - 1 within the group.

    >>> import minipar as mp
    >>> mp.run(2, lambda comm: f"rank {comm.rank} of {comm.size}")
    ['rank 0 of 2', 'rank 1 of 2']
    """

    rank: int
    size: int
    name: str = "world"  # the `label` of the split that made the group
    members: tuple[int, ...]  # the world rank of each rank of this group
    nodes: tuple[int, ...]  # the node (host) of each rank of this group
    preferred: Mapping[str, str] = {}  # collective -> the algorithm that "auto" stands for
    native: Any = None  # the MPI library's own collectives, if any
    collectives: int = 0  # number of collectives that this rank has entered
    checked: bool = False                                           # whether `overflowed` warns
    books: Any = None  # the Ledger, in checked mode
    staging: Any = None  # shared memory that the collectives keep for the next call

    @abstractmethod
    def isend(self, array: np.ndarray, dest: int, *, label: str | None = None, tag: int = 0) -> Request:
        """Start to send `array` to rank `dest`. Raises CommError for an invalid array or rank."""

    @abstractmethod
    def irecv(self, out: np.ndarray, source: int, *, label: str | None = None, tag: int = 0) -> Request:
        """Start to receive into `out` from rank `source`."""

    @abstractmethod
    def wait(self, request: Request) -> np.ndarray:
        """Wait for the request; returns its array. Raises CommError if the message does not fit or can never
        come.
        """

    @abstractmethod
    def test(self, request: Request) -> bool:
        """Returns whether the request is complete, without waiting; raises the errors of `wait`."""

    @abstractmethod
    def subgroup(self, ranks: list[int], *, label: str | None = None) -> Communicator | None:
        """The group of these ranks, in this order. Each rank passes its own group's list, or [] for none."""

    @abstractmethod
    def shared(self, nbytes: int, *, label: str | None = None) -> np.ndarray:
        """One block of memory, uint8 [nbytes], zeroed, that every rank of this group reads and writes. All
        ranks call it.

        Raises CommError if the group spans several nodes.
        """

    # Messages with an envelope: the receiver need not know sender, tag or length. They are separate from the
    # messages above. `wait` and `test` accept their requests like all others.

    @abstractmethod
    def isend_message(self, data: np.ndarray, dest: int, *, type_code: int, tag: int = 0,
                      label: str | None = None, synchronous: bool = False) -> Request:
        """Start to send `data`, uint8 [nbytes]. synchronous: complete only after its receive has begun."""

    @abstractmethod
    def irecv_message(self, out: np.ndarray | None, source: int, *, type_code: int, tag: int = 0,
                      label: str | None = None) -> Request:
        """Start to receive a message from `source` with `tag`; either may be ANY.
        out: uint8, at least as long as the message; None for a message of any length. When it is complete,
        `request.array` holds the bytes and `request.envelope` describes the message. A message that is too
        long, or of another type, raises CommError.
        """

    @abstractmethod
    def probe_message(self, source: int, *, tag: int = 0, label: str | None = None) -> Request:
        """Start to look for a message from `source` with `tag`; either may be ANY. The request completes when
        the message can be received; its `envelope` describes the message.
        """

    @abstractmethod
    def cancel_message(self, request: Request) -> bool:
        """Cancel a receive or a probe; False if it is complete already."""

    def forget_message(self, request: Request) -> None:
        """Called if the program will never wait for this send. Checking removes the send from its ledger."""
        return None

    def send_message(self, data: np.ndarray, dest: int, *, type_code: int, tag: int = 0,
                     label: str | None = None, synchronous: bool = False) -> None:
        """`isend_message`, and wait for it."""
        self.wait(self.isend_message(data, dest, type_code=type_code, tag=tag, label=label,
                                     synchronous=synchronous))

    def recv_message(self, out: np.ndarray, source: int, *, type_code: int, tag: int = 0,
                     label: str | None = None) -> MessageEnvelope:
        """`irecv_message` into `out`, and wait for it."""
        request = self.irecv_message(out, source, type_code=type_code, tag=tag, label=label)
        self.wait(request)
        assert request.envelope is not None
        return request.envelope

    @abstractmethod
    def open_messages(self) -> None:
        """Prepare messages with an envelope. All ranks of the group call it once, before the first one."""

    def close(self) -> None:
        """The program no longer uses this group; the engine may free its data."""
        return None

    @abstractmethod
    def group_of(self, ranks: list[int], tag: int, *, label: str | None = None) -> Communicator:
        """The group of these ranks in this order; only these ranks call it (MPI_Comm_create_group)."""

    def send(self, array: np.ndarray, dest: int = NOT_GIVEN, *, label: str | None = None,
             tag: int = 0) -> None:
        self.wait(self.isend(array, dest, label=label, tag=tag))

    def recv(self, out: np.ndarray, source: int = NOT_GIVEN, *, label: str | None = None,
             tag: int = 0) -> np.ndarray:
        """Returns `out`, filled."""
        return self.wait(self.irecv(out, source, label=label, tag=tag))

    def sendrecv(self, array: np.ndarray, dest: int, out: np.ndarray = NOT_GIVEN, source: int = NOT_GIVEN,
                 *, label: str | None = None, tag: int = 0) -> np.ndarray:
        """Send and receive at once: the step of every ring. Returns `out`, filled."""
        receiving = self.irecv(out, source, label=label, tag=tag)
        sending = self.isend(array, dest, label=label, tag=tag)
        self.wait(receiving)
        self.wait(sending)
        return out

    def barrier(self, *, label: str | None = None) -> None:
        """Wait until every rank has entered: ceil(log2(size)) rounds (dissemination; Hensgen, Finkel, Manber
        1988).
        """
        tag = self.entering("barrier", None, None, label=label)
        nothing, ignored = np.empty(0, np.int64), np.empty(0, np.int64)
        distance = 1
        while distance < self.size:
            dest, source = (self.rank + distance) % self.size, (self.rank - distance) % self.size
            self.sendrecv(nothing, dest, ignored, source, label=label, tag=tag)
            distance *= 2

    def entering(self, op: str, shape: tuple[int, ...] | None, dtype: np.dtype | None,
                 *, label: str | None = None, root: int | None = None,
                 algorithm: str | None = None, counts: Sequence[int] | None = None) -> int:
        """Each collective calls this once, first, on every rank of the group; returns the tag for the
        messages of this call.

        All ranks must pass the same `op` ("all_reduce sum"), `label`, `root`, `algorithm` and `counts` (each
        rank's rows). `shape` and `dtype` describe the array; its element count must be the same on all ranks.
        None is not compared. This method only counts calls: each gets its own tag, so two can be in flight at
        once. Checking also compares the ranks' arguments and raises CommError if they differ.
        """
        self.collectives += 1
        return OwnTag(COLLECTIVE_TAGS[self.collectives % len(COLLECTIVE_TAGS)])

    def overflowed(self, op: str, label: str) -> None:
        """Called by a collective whose sum of finite numbers became infinite. Checking warns; here it does
        nothing.
        """
        return None

    def split(self, color: int | None, key: int = 0, *, label: str | None = None) -> Communicator | None:
        """One new communicator per color, ranks ordered by (key, old rank); None for the ranks whose color is
        None.

        Raises CommError for a color or key that is not a 64-bit integer.
        """
        for name, number in (("color", 0 if color is None else color), ("key", key)):
            if not is_whole(number) or not -1 << 63 <= number < 1 << 63:
                raise CommError(f"{this_call(self, label, 'split')} has {name} {number!r}, which is "
                                "not a 64-bit integer; divide with //, or number the groups")
        tag = self.entering("split", None, None, label=label)
        mine = np.array([color is not None, color or 0, key], np.int64)
        table = exchange(self, mine, label=label, tag=tag)          # [size, 3]
        alike = [rank for rank in range(self.size) if color is not None and table[rank, 0]
                 and table[rank, 1] == color]
        return self.subgroup(sorted(alike, key=lambda rank: (table[rank, 2], rank)), label=label)


def exchange(comm: Communicator, mine: np.ndarray, *, label: str | None, tag: int) -> np.ndarray:
    """All-gather of one small array per rank; returns [size, *mine.shape].

    ceil(log2(size)) rounds (Bruck et al. 1997). It serves split and checking, on which collectives depend.
    """
    blocks = np.empty((comm.size, *mine.shape), mine.dtype)         # blocks[i] comes from rank + i
    blocks[0] = mine
    have = 1
    while have < comm.size:
        take = min(have, comm.size - have)
        dest, source = (comm.rank - have) % comm.size, (comm.rank + have) % comm.size
        comm.sendrecv(blocks[:take], dest, blocks[have:have + take], source, label=label, tag=tag)
        have += take
    first = comm.size - comm.rank  # the block of rank 0
    return np.concatenate([blocks[first:], blocks[:first]])


def exchange_texts(comm: Communicator, mine: str, *, label: str | None, tag: int) -> list[str]:
    """All-gather of one text per rank: first the lengths, then the texts, padded to the longest.

    Raises CommError, before it allocates memory, for an invalid length.
    """
    encoded = mine.encode()
    lengths = exchange(comm, np.array([len(encoded)]), label=label, tag=tag)[:, 0]
    for rank, length in enumerate(lengths.tolist()):
        if not 0 <= length <= LONGEST_TEXT:
            raise CommError(f"{this_call(comm, label, 'exchange')}: rank {rank} names a text of {length} "
                            f"bytes; 0 to {LONGEST_TEXT} are allowed")
    padded = np.frombuffer(encoded.ljust(int(lengths.max())), np.uint8)
    rows = exchange(comm, padded, label=label, tag=tag)
    return [row[:length].tobytes().decode() for row, length in zip(rows, lengths, strict=True)]


def is_whole(number: object) -> bool:
    """Returns whether `number` is an integer of Python or NumPy, as a rank or a tag must be."""
    return isinstance(number, (int, np.integer))


def group_name(label: str | None, members: tuple[int, ...]) -> str:
    """The name of a new group, the same on all its members: its label, or, without a label, their ranks."""
    if label is None or isinstance(label, CallSite):
        return f"ranks {', '.join(map(str, members))}"
    return label
