"""Arrays in flight: nobody may write to what is being sent, nor touch what is being received, until the
request is waited for.

Plain MPI lets both pass, and then the message holds old values on one machine and new ones on another.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import numpy as np

from minipar.comm.diagnostics.call_site import caller, quoted, this_call
from minipar.comm.protocol import TAGS, Communicator, Request
from minipar.errors import CommError

# bytes up to which all of an array is summed up; words that are taken of a larger one
WHOLE, SAMPLES = 1 << 16, 4096


def checksum(array: np.ndarray) -> int:
    """Of the whole array up to 64 KiB; above that of a fixed sample of at most 4,096 words. array:
    contiguous.
    """
    raw = array.reshape(-1).view(np.uint8)
    if raw.size <= WHOLE:
        return zlib.crc32(raw.data)
    words = raw[:raw.size // 8 * 8].view(np.uint64)
    stride = -(-words.size // SAMPLES) | 1  # odd, so that it does not always hit one column
    return zlib.crc32(words[::stride].copy().data, zlib.crc32(raw[-8:].data))


def refuse_overlap(comm: Communicator, array: np.ndarray, kind: str, label: str | None,
                   others: Iterable[tuple[Request, str]]) -> None:
    """Raises CommError for a receive into memory that is in flight, and for a send of memory that is being
    received.

    others: the requests not yet waited for, and their lines.
    """
    for other, place in others:
        own = other.type_code is not None or other.tag < TAGS
        if own and "recv" in (kind, other.kind) and np.may_share_memory(array, other.array):
            verb = "sent" if other.kind == "send" else "received into"
            raise CommError(f"{this_call(comm, label, kind)} uses memory that is still being {verb} by the "
                            f"{other.kind}"
                            f"{quoted(other.label)} started at {place}; wait for that first, or use another "
                            "array")


def refuse_change(comm: Communicator, request: Request, before: int, place: str) -> None:
    """Raises CommError if an array that was being sent is not what it was when its send began."""
    if checksum(request.array) != before:
        raise CommError(f"{this_call(comm, request.label, 'send')} to rank {request.peer}: the array, "
                        f"{request.array.shape} "
                        f"{request.array.dtype}, was changed between isend at {place} and {caller()[0]}; it "
                        "must stay as it is "
                        "until then: wait first, or send a copy")
