"""The seam: every byte between ranks passes through these few calls.

An engine (threads, mpi, solo) writes `isend`, `irecv`, `wait`, `test`, `subgroup` and `shared`; the blocking
calls are made of them here, once. Collectives are functions over this class, and wrappers (counting, tracing,
checking, the clock, faults) are Communicators that hold another Communicator (`minipar.comm.wrappers.base`).

The rules of the seam:
* Arrays are C-contiguous NumPy arrays of one of the DTYPES; anything else raises CommError.
* `isend` takes the array as it is: it must not change until the request is waited for. `irecv` fills `out`,
  whose shape and dtype are what the receiver expects; a message of another size or dtype raises CommError, it
  never delivers garbage.
* Two messages from one rank to another with the same tag arrive in the order in which they were sent.
* A request is waited for once, or tested until it is done; what is left over is reported at the end.
* `label` says what a message is for ("gradients", "pipeline forward 3"): the key of counters, traces and
  error messages. Left out, it is the line of the program that makes the call: shown, and never compared.
* A collective says `tag = comm.entering(...)` first and sends its messages with that tag.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minipar.comm.diagnostics.call_site import CallSite, this_call
from minipar.errors import CommError

# What may travel. A dtype's place in the list is its code on the wire, so the list only ever grows at its
# end.
DTYPES = [np.dtype(name) for name in ("f4", "f8", "i8", "i4", "u1", "i1", "i2", "u2", "u4", "u8", "f2", "?")]
CODES = {dtype: code for code, dtype in enumerate(DTYPES)}


class OwnTag(int):
    """A tag that minipar hands out itself, so that no message of a program is taken for one of a
    collective.
    """


# Programs use tags 0 to TAGS - 1. The tags from there to 2 * TAGS - 1 are ours.
TAGS = 1 << 14
COLLECTIVE_TAGS = range(TAGS, 2 * TAGS - 2)
LONGEST_TEXT = 1 << 24  # bytes of one rank's text in an exchange: more than any account or ledger
CHECK_TAG, FINISH_TAG = OwnTag(2 * TAGS - 2), OwnTag(2 * TAGS - 1)


ANY = -1                                                            # any source, any tag
NOT_GIVEN: Any = None  # stands for an argument that was left out, so that our message says which


class MessageEnvelope(NamedTuple):
    """What is known of a message before it is received. type_code: see `minipar.comm.message_types`."""

    source: int
    tag: int
    type_code: int
    nbytes: int


@dataclass(eq=False, slots=True)
class Request:
    """A message on its way. `array` is the one sent or the one to fill; `handle` is the engine's own. Hashes
    by identity.

    envelope: what travels beside a message with an envelope (see `isend_message`); None for all others, and
    for a receive or a probe until it is done.
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
    site: tuple[str, str] | None = None                             # of a send: the call, and "train.py:88"


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
    native: Any = None  # the MPI library's own collectives, where there are any
    collectives: int = 0  # how many collectives this rank has entered
    checked: bool = False                                           # whether `overflowed` says anything
    books: Any = None  # the Ledger of what is in flight, where somebody checks
    staging: Any = None  # shared memory that the collectives keep for the next call

    @abstractmethod
    def isend(self, array: np.ndarray, dest: int, *, label: str | None = None, tag: int = 0) -> Request:
        """Start to send `array` to rank `dest`. Raises CommError for an array that cannot travel or a rank
        that is not there.
        """

    @abstractmethod
    def irecv(self, out: np.ndarray, source: int, *, label: str | None = None, tag: int = 0) -> Request:
        """Start to receive into `out` from rank `source`."""

    @abstractmethod
    def wait(self, request: Request) -> np.ndarray:
        """Return the request's array once it is done. Raises CommError where the message does not fit or can
        never come.
        """

    @abstractmethod
    def test(self, request: Request) -> bool:
        """Whether the request is done, without waiting; raises as `wait` does."""

    @abstractmethod
    def subgroup(self, ranks: list[int], *, label: str | None = None) -> Communicator | None:
        """The group of these ranks in this order. All ranks of this group call it, each with its own group's
        list, or [].
        """

    @abstractmethod
    def shared(self, nbytes: int, *, label: str | None = None) -> np.ndarray:
        """One block of memory, uint8 [nbytes], zeroed, that every rank of this group reads and writes. All
        ranks call it.

        Raises CommError where the group spans several nodes.
        """

    # Messages with an envelope: their receiver need not know who sends them, under which tag, or how long
    # they are. They never meet the messages above. `wait` and `test` take their requests as all others.

    @abstractmethod
    def isend_message(self, data: np.ndarray, dest: int, *, type_code: int, tag: int = 0,
                      label: str | None = None, synchronous: bool = False) -> Request:
        """Start to send `data`, uint8 [nbytes]. synchronous: done only once its receive has begun."""

    @abstractmethod
    def irecv_message(self, out: np.ndarray | None, source: int, *, type_code: int, tag: int = 0,
                      label: str | None = None) -> Request:
        """Start to receive a message from `source` with `tag`; either may be ANY.

        out: uint8, at least as long as the message; None for a message of any length. Once it is done,
        `request.array` holds the bytes that came and `request.envelope` says what came. A message that is too
        long, or of another type, raises CommError.
        """

    @abstractmethod
    def probe_message(self, source: int, *, tag: int = 0, label: str | None = None) -> Request:
        """A request that is done once such a message is there to be received; its `envelope` says which."""

    @abstractmethod
    def cancel_message(self, request: Request) -> bool:
        """Take a receive or a probe back; False where it is done already."""

    def forget_message(self, request: Request) -> None:
        """Nobody will wait for this send. Checking takes it off its books."""
        return None

    def send_message(self, data: np.ndarray, dest: int, *, type_code: int, tag: int = 0,
                     label: str | None = None,
                     synchronous: bool = False) -> None:
        """`isend_message`, and wait for it."""
        self.wait(self.isend_message(data, dest, type_code=type_code, tag=tag, label=label,
                                     synchronous=synchronous))

    @abstractmethod
    def open_messages(self) -> None:
        """All ranks of the group call it once, before the first message with an envelope."""

    def close(self) -> None:
        """The program is done with this group. What the engine keeps for it may go."""
        return None

    @abstractmethod
    def group_of(self, ranks: list[int], tag: int, *, label: str | None = None) -> Communicator:
        """The group of these ranks in this order, which these ranks alone call (MPI_Comm_create_group)."""

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
        """No rank leaves before every rank has entered: ceil(log2(size)) rounds (dissemination; Hensgen,
        Finkel, Manber 1988).
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

        `op` names what must agree ("all_reduce sum"), and so must `label`, `root`, `algorithm` and `counts`
        (each rank's rows); `shape` and `dtype` are of the array whose element count all ranks share. None
        stands for what need not agree. Here it only counts, so that each call has its own tag and two can be
        under way at once; Checking compares what the ranks say and raises CommError if they differ.
        """
        self.collectives += 1
        return OwnTag(COLLECTIVE_TAGS[self.collectives % len(COLLECTIVE_TAGS)])

    def overflowed(self, op: str, label: str) -> None:
        """A collective calls this where its sum of finite numbers became infinite. Checking warns; here
        nothing is said.
        """
        return None

    def split(self, color: int | None, key: int = 0, *, label: str | None = None) -> Communicator | None:
        """One new communicator per color, ranks ordered by (key, old rank); None for the ranks whose color is
        None.

        Raises CommError for a color or key that is no whole number of 64 bits.
        """
        for name, number in (("color", 0 if color is None else color), ("key", key)):
            if not is_whole(number) or not -1 << 63 <= number < 1 << 63:
                raise CommError(f"{this_call(self, label, 'split')} has {name} {number!r}, which is "
                                "no whole number of 64 bits; divide with //, or count the groups")
        tag = self.entering("split", None, None, label=label)
        mine = np.array([color is not None, color or 0, key], np.int64)
        table = exchange(self, mine, label=label, tag=tag)          # [size, 3]
        alike = [rank for rank in range(self.size) if color is not None and table[rank, 0]
                 and table[rank, 1] == color]
        return self.subgroup(sorted(alike, key=lambda rank: (table[rank, 2], rank)), label=label)


def exchange(comm: Communicator, mine: np.ndarray, *, label: str | None, tag: int) -> np.ndarray:
    """Every rank's small array, [size, *mine.shape], on every rank, in ceil(log2(size)) rounds (Bruck et al.
    1997).

    For the protocol's own agreements (split, checking), which the collectives stand on.
    """
    blocks = np.empty((comm.size, *mine.shape), mine.dtype)         # blocks[i] comes from rank + i
    blocks[0] = mine
    have = 1
    while have < comm.size:
        take = min(have, comm.size - have)
        dest, source = (comm.rank - have) % comm.size, (comm.rank + have) % comm.size
        comm.sendrecv(blocks[:take], dest, blocks[have:have + take], source, label=label, tag=tag)
        have += take
    return np.roll(blocks, comm.rank, axis=0)


def exchange_texts(comm: Communicator, mine: str, *, label: str | None, tag: int) -> list[str]:
    """Every rank's text on every rank: first the lengths, then all of them padded to the longest.

    Raises CommError, before it takes memory, where a rank names a length that no text of ours has.
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
    """Whether it can name a rank or a tag: an int, also one of NumPy's."""
    return isinstance(number, (int, np.integer))


def group_name(label: str | None, members: tuple[int, ...]) -> str:
    """The name of a new group, the same on all its members: its label, or their ranks where no label was
    given.
    """
    if label is None or isinstance(label, CallSite):
        return f"ranks {', '.join(map(str, members))}"
    return label
