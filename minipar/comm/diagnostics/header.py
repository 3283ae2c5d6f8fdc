"""The header of a program's message in checked mode. It holds label, line, dtype and number of elements.

Two messages with the same tag arrive in the order in which they were sent. Suppose that the sender sends the
weights first but the receiver expects the bias first. If the arrays have equal sizes, they are swapped
without an error. So the receiver compares the header with its own label, dtype and size. A call without a
label has its line as label. Errors show this line, but it is not compared.

Under MPI, the HEAD bytes of a header are sent before the array's bytes (`minipar.comm.mpi.headers`). Between
threads no header is sent: `World.match` makes a MessageHeader from the sender's request.
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

KEY = struct.Struct("=qqB")  # number of elements, checksum of the label, code of the dtype
TEXT = struct.Struct("=B100sB75s")  # length and text of the label, length and text of the line
HEAD = KEY.size + TEXT.size
CACHED = 1024
SHORT = 1024                        # up to this number of bytes, a copy takes less time than a second message


class MessageHeader(NamedTuple):
    """The content of a header. label: "" if the program gave none. line: the line of the send, such as
    "train.py:88".
    """

    elements: int
    dtype: np.dtype
    label: str
    line: str


def given(label: str) -> str:
    """Returns the label; "" for a call without one."""
    return "" if isinstance(label, CallSite) else label


class Expected(NamedTuple):
    """The expected content of a short message. key: the part of the header that must agree on both sides.
    numbers: the format of the data; `numbers.pack_into` copies the data into an array.
    """

    key: bytes
    numbers: struct.Struct


@lru_cache(CACHED)
def expected(elements: int, label: str, code: int) -> Expected:
    """Returns what a receive of a short message expects."""
    return Expected(key(elements, label, code), struct.Struct(f"{elements * DTYPES[code].itemsize}s"))


@lru_cache(CACHED)
def key(elements: int, label: str, code: int) -> bytes:
    """Returns the bytes of a header that must be equal on both sides. A missing label has the checksum 0.
    """
    return KEY.pack(elements, zlib.crc32(label.encode(errors="surrogatepass")) + 1 if label else 0, code)


@lru_cache(CACHED)
def head(elements: int, label: str, code: int, line: str) -> bytes:
    """Returns a header as HEAD bytes. A long label or line is truncated."""
    said, location = (text.encode(errors="replace") for text in (label, line))
    said, location = said[:100], location[-75:]
    return key(elements, label, code) + TEXT.pack(len(said), said, len(location), location)


def unpack(raw: bytes | bytearray) -> MessageHeader:
    """Returns the header that the first HEAD bytes of `raw` hold."""
    elements, _, code = KEY.unpack_from(raw)
    long, label, wide, line = TEXT.unpack_from(raw, KEY.size)
    return MessageHeader(elements, DTYPES[code], label[:long].decode(errors="replace"),
                         line[:wide].decode(errors="replace"))


def fits(request: Request, sent: MessageHeader, *, labels: bool) -> bool:
    """Returns whether a message fits a receive. labels: also compare the labels, if both are given."""
    own = given(request.label) if labels and request.tag < TAGS else ""
    return (request.array.dtype == sent.dtype and request.array.size == sent.elements
            and not (own and sent.label and own != sent.label))


def unfit(comm: Communicator, request: Request, sent: MessageHeader) -> CommError:
    """Returns the error of a receive that gets a message with another label, dtype or number of elements."""
    tag = f" with tag {request.tag}" if 0 < request.tag < TAGS else ""
    array, own = request.array, given(request.label)
    start = this_call(comm, request.label, "recv", tag)
    name, line = quoted(sent.label), f" at {sent.line}" if sent.line else ""
    if array.dtype == sent.dtype and array.size == sent.elements:
        return CommError(f"{start} gets a message from rank {request.peer} that was sent as{name}{line}, "
                         f"not as '{own}'; send and receive in the same order, or give each message its own "
                         "tag", kind="other message", label=own, source=request.peer, sent=sent)
    what = f"{count(sent.elements)} of {sent.dtype}"
    return CommError(f"{start} expects {array.shape} {array.dtype} from rank {request.peer}, which sent "
                     f"{what}{' for' * bool(name)}{name}{line} (expected {count(array.size)})",
                     kind="other message", label=own, source=request.peer, sent=sent)


def count(elements: int) -> str:
    """Returns "1 element" or, for example, "12 elements"."""
    return f"{elements} element{'s' * (elements != 1)}"
