"""The header of a program's message in checked mode: label, line, dtype, number of elements.

Two messages with the same tag arrive in the order in which they were sent. If the receiver asks for the bias
first and the sender sends the weights first, the arrays are swapped, perhaps without a difference in size. So
the receiver compares the header with what it expects. A call without a label has its line as label: shown,
never compared.

Under MPI a header is HEAD bytes in front of the array's bytes (`minipar.comm.mpi.headed`); threads pass the
object.
"""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from minipar.comm.diagnostics.call_site import CallSite, quoted, this_call
from minipar.comm.protocol import DTYPES, TAGS, Communicator, Request
from minipar.errors import CommError

KEY = struct.Struct("=qqB")  # elements, checksum of the label, dtype's code
TEXT = struct.Struct("=B100sB75s")  # length and text of the label, length and text of the line
HEAD = KEY.size + TEXT.size
CACHED = 1024


class MessageHeader(NamedTuple):
    """label: "" if the program gave none. line: "train.py:88"."""

    elements: int
    dtype: np.dtype
    label: str
    line: str


def given(label: str) -> str:
    """The label; "" for a call without one."""
    return "" if isinstance(label, CallSite) else label


@lru_cache(CACHED)
def key(elements: int, label: str, code: int) -> bytes:
    """The part of a header that must agree on both sides, as bytes. A missing label counts as 0."""
    return KEY.pack(elements, zlib.crc32(label.encode(errors="surrogatepass")) + 1 if label else 0, code)


@lru_cache(CACHED)
def head(elements: int, label: str, code: int, line: str) -> bytes:
    """A header as HEAD bytes; a long label or line is truncated."""
    said, location = (text.encode(errors="replace") for text in (label, line))
    said, location = said[:100], location[-75:]
    return key(elements, label, code) + TEXT.pack(len(said), said, len(location), location)


def unpack(raw: bytes | bytearray) -> MessageHeader:
    """The header in the first HEAD bytes."""
    elements, _, code = KEY.unpack_from(raw)
    long, label, wide, line = TEXT.unpack_from(raw, KEY.size)
    return MessageHeader(elements, DTYPES[code], label[:long].decode(errors="replace"),
                    line[:wide].decode(errors="replace"))


def fits(request: Request, sent: MessageHeader, *, labels: bool) -> bool:
    """Whether a message fits a receive. labels: compare labels too, if both are given."""
    own = given(request.label) if labels and request.tag < TAGS else ""
    return (request.array.dtype == sent.dtype and request.array.size == sent.elements
            and not (own and sent.label and own != sent.label))


def unfit(comm: Communicator, request: Request, sent: MessageHeader) -> CommError:
    """The error of a receive that gets a message with another label, dtype or number of elements."""
    tag = f" with tag {request.tag}" if 0 < request.tag < TAGS else ""
    array, own = request.array, given(request.label)
    start = this_call(comm, request.label, "recv", tag)
    name, line = quoted(sent.label or None), f" at {sent.line}" if sent.line else ""
    if array.dtype == sent.dtype and array.size == sent.elements:
        return CommError(f"{start} gets from rank {request.peer} what was sent as{name}{line}, not as "
                         f"'{own}'; send and receive in the same order, or give each message its own "
                         "tag")
    what = f"{count(sent.elements)} of {sent.dtype}"
    return CommError(f"{start} expects {array.shape} {array.dtype} from rank {request.peer}, which sent "
                     f"{what}{' for' * bool(name)}{name}{line} (expected {count(array.size)})")


def count(elements: int) -> str:
    """ "1 element", "12 elements"."""
    return f"{elements} element{'s' * (elements != 1)}"
