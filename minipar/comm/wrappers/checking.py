"""Checks that all ranks make the same collective calls. `run` and every minipar command use this wrapper by
default.

Before a collective moves data, the ranks exchange a hash of their calls. Each rank sends ceil(log2(size))
messages. The first message has 8 bytes. Each later one has at most twice as many bytes as the one before. If
the hashes differ, the ranks exchange the descriptions of their calls. Then each rank raises a CommError that
shows the calls of all ranks. The wrapper also records messages and requests in a ledger. When the job ends,
the ledgers of all ranks are compared.

Because of this exchange, every collective waits until all ranks have called it. This is also true for the
start of a non-blocking collective. So the following program deadlocks in checked mode: rank 0 starts a
collective and then sends a message. Rank 1 receives this message before it starts the collective.
"""

from __future__ import annotations

import json
import math
import warnings
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from minipar.comm.diagnostics.call_site import (
    CallSite,
    after,
    caller,
    calling_line,
    label_or_call_site,
    this_call,
    wrong_call,
)
from minipar.comm.diagnostics.disagreement import disagreement
from minipar.comm.diagnostics.in_flight import change, has_changed, is_free, refuse_overlap, snapshot
from minipar.comm.diagnostics.ledger import OURS, Ledger
from minipar.comm.diagnostics.message_book import line_of
from minipar.comm.protocol import (
    CHECK_TAG,
    NOT_GIVEN,
    TAGS,
    Communicator,
    MessageEnvelope,
    Request,
    exchange,
    exchange_texts,
    is_whole,
)
from minipar.comm.wrappers.base import Wrapper
from minipar.errors import CommError


class Checking(Wrapper):
    """Compares every collective call across the group before the collective starts. It also keeps the ledger
    of this rank's messages and requests.
    """

    def __init__(self, inner: Communicator, ledger: Ledger | None = None) -> None:
        super().__init__(inner)
        self.compares = True  # False if the caller compares the collective calls itself
        self.ledger = ledger or Ledger(inner.members[inner.rank])
        self.book, self.letters = self.ledger.groups.of(inner), self.ledger.letters.groups.of(inner)

    def wrap(self, part: Communicator) -> Communicator:
        wrapped = type(self)(part, self.ledger)
        wrapped.compares = self.compares
        return wrapped

    def isend(self, array: np.ndarray, dest: int = NOT_GIVEN, *, label: str | None = None,
              tag: int = 0) -> Request:
        ledger = self.ledger
        if ledger.closed or (ledger.open or ledger.running) and not is_free(ledger, array):
            self.refuse("send", array, label, tag)
        request = self.start_send(array, dest, label, tag)
        if request.content is None and tag < TAGS:
            request.content = snapshot(array)
        ledger.open[request] = self
        return request

    def irecv(self, out: np.ndarray, source: int = NOT_GIVEN, *, label: str | None = None,
              tag: int = 0) -> Request:
        ledger = self.ledger
        if ledger.closed or (ledger.open or ledger.running) and not is_free(ledger, out):
            self.refuse("recv", out, label, tag)
        request = self.start_receive(out, source, label, tag)
        request.site = ("irecv", calling_line(1)) if tag < TAGS else caller()
        ledger.open[request] = self
        return request

    def start_send(self, array: np.ndarray, dest: int, label: str | None, tag: int) -> Request:
        """Start to send, and count the message."""
        request = self.inner.isend(array, dest, label=label, tag=tag)
        request.site = request.site or caller()
        self.book.send(dest, tag if tag < TAGS else OURS, request.label, request.site[1])
        return request

    def start_receive(self, out: np.ndarray, source: int, label: str | None, tag: int) -> Request:
        """Start to receive, and count the message."""
        request = self.inner.irecv(out, source, label=label, tag=tag)
        self.book.receive(source, tag if tag < TAGS else OURS)
        return request

    # The next three methods return only when the message is complete. So the program cannot change the arrays
    # while the message is in flight.

    def send(self, array: np.ndarray, dest: int = NOT_GIVEN, *, label: str | None = None,
             tag: int = 0) -> None:
        if self.ledger.closed or self.ledger.open or self.ledger.running:
            self.refuse("send", array, label, tag)
        self.inner.wait(self.start_send(array, dest, label, tag))

    def recv(self, out: np.ndarray, source: int = NOT_GIVEN, *, label: str | None = None,
             tag: int = 0) -> np.ndarray:
        if self.ledger.closed or self.ledger.open or self.ledger.running:
            self.refuse("recv", out, label, tag)
        return self.inner.wait(self.start_receive(out, source, label, tag))

    def sendrecv(self, array: np.ndarray, dest: int, out: np.ndarray = NOT_GIVEN, source: int = NOT_GIVEN,
                 *, label: str | None = None, tag: int = 0) -> np.ndarray:
        self.refuse("recv", out, label, tag)
        self.refuse("send", array, label, tag)
        if (tag < TAGS and isinstance(array, np.ndarray) and isinstance(out, np.ndarray)
                and np.may_share_memory(array, out)):
            raise wrong_call(self, label, "sendrecv",
                             "receives into the memory that it sends; give it another out", item="out")
        receiving = self.start_receive(out, source, label, tag)
        sending = self.start_send(array, dest, label, tag)
        self.inner.wait(receiving)
        self.inner.wait(sending)
        return out

    def refuse(self, kind: str, array: np.ndarray, label: str | None, tag: int) -> None:
        """Raises CommError for a call after the job's end, and for an array that a message in flight uses."""
        ledger = self.ledger
        if ledger.closed:
            ledger.refuse_late_calls()
        if (ledger.open or ledger.running) and is_whole(tag) and tag < TAGS and isinstance(array, np.ndarray):
            refuse_overlap(self, ledger, array, kind, label, writes=kind == "recv")

    def wait(self, request: Request) -> np.ndarray:
        if type(request) is not Request:
            raise no_request(self, "wait", request)
        if request.type_code is not None:
            array = self.inner.wait(request)                        # the envelope is known only now
            self.settle(request)
            return array
        self.ledger.open.pop(request, None)
        array = self.inner.wait(request)  # before it returns, the engine may read the array
        if request.content is not None:
            if has_changed(array, request.content):
                raise change(self, request)
            request.content = None
        return array

    def test(self, request: Request) -> bool:
        if type(request) is not Request:
            raise no_request(self, "test", request)
        if done := self.inner.test(request):
            self.settle(request)
        return done

    def settle(self, request: Request) -> None:
        """Record a complete request. Raises CommError if the array of a send has changed."""
        self.ledger.open.pop(request, None)
        location, envelope = self.ledger.letters.open.pop(request, None), request.envelope
        if envelope is not None and location is not None and request.kind == "recv":
            self.letters.receive(envelope.source, envelope.tag)
        if request.content is not None:
            if has_changed(request.array, request.content):
                raise change(self, request, location)
            request.content = None

    def isend_message(self, data: np.ndarray, dest: int, *, type_code: int, tag: int = 0,
                      label: str | None = None, synchronous: bool = False) -> Request:
        ledger = self.ledger
        if ledger.closed or ledger.busy and not is_free(ledger, data):
            self.refuse_letter(data, "send", label)
        request = self.inner.isend_message(data, dest, type_code=type_code, tag=tag, label=label,
                                           synchronous=synchronous)
        line = ledger.letters.open[request] = line_of(request.label)
        self.letters.send(dest, tag, "", line)
        request.content = snapshot(data)
        return request

    def send_message(self, data: np.ndarray, dest: int, *, type_code: int, tag: int = 0,
                     label: str | None = None,
                     synchronous: bool = False) -> None:
        ledger = self.ledger
        if ledger.closed or ledger.busy and not is_free(ledger, data):
            self.refuse_letter(data, "send", label)
        self.inner.send_message(data, dest, type_code=type_code, tag=tag, label=label,
                                synchronous=synchronous)
        label = label_or_call_site(label)  # made after the send, to not delay the message
        self.letters.send(dest, tag, "", line_of(label))

    def irecv_message(self, out: np.ndarray | None, source: int, *, type_code: int, tag: int = 0,
                      label: str | None = None) -> Request:
        ledger = self.ledger
        if ledger.closed or ledger.busy and not is_free(ledger, out):
            self.refuse_letter(out, "recv", label)
        request = self.inner.irecv_message(out, source, type_code=type_code, tag=tag, label=label)
        ledger.letters.open[request] = line_of(request.label)
        return request

    def recv_message(self, out: np.ndarray, source: int, *, type_code: int, tag: int = 0,
                     label: str | None = None) -> MessageEnvelope:
        ledger = self.ledger
        if ledger.closed or ledger.busy and not is_free(ledger, out):
            self.refuse_letter(out, "recv", label)
        envelope = self.inner.recv_message(out, source, type_code=type_code, tag=tag, label=label)
        self.letters.receive(envelope.source, envelope.tag)
        return envelope

    def cancel_message(self, request: Request) -> bool:
        cancelled = self.inner.cancel_message(request)
        if cancelled:
            self.ledger.letters.forget(request)
        return cancelled

    def forget_message(self, request: Request) -> None:
        self.ledger.letters.forget(request)
        self.inner.forget_message(request)

    def refuse_letter(self, data: np.ndarray | None, kind: str, label: str | None) -> None:
        """Raises CommError for a call after the job's end, and for memory that a message in flight uses.

        Several receives into one buffer are allowed: programs that measure bandwidth use one buffer for all
        messages and never read it.
        """
        if self.ledger.closed:
            self.ledger.refuse_late_calls()
        if data is not None and self.ledger.busy:
            refuse_overlap(self, self.ledger, data, kind, label, writes=kind == "recv", receives=False)

    def entering(self, op: str, shape: tuple[int, ...] | None, dtype: np.dtype | None,
                 *, label: str | None = None, **agreed: Any) -> int:
        if self.compares:
            self.compare(op, shape, dtype, label, **agreed)
        return self.inner.entering(op, shape, dtype, label=label, **agreed)

    @property
    def checked(self) -> bool:                                      # type: ignore[override]
        return True

    @property
    def books(self) -> Ledger:
        return self.ledger

    def overflowed(self, op: str, label: str) -> None:
        """Warn of an infinite sum. The warning names the label and the caller's line. It is not an error: the
        infinity is correct arithmetic, but a program rarely intends it.
        """
        warnings.warn(f"{this_call(self, label, op)}: the sum of finite numbers became infinite; scale them "
                      "down, or convert them to a wider dtype", RuntimeWarning, stacklevel=2)

    def split(self, color: int | None, key: int = 0, *, label: str | None = None) -> Communicator | None:
        self.compare("split", None, None, label)
        return super().split(color, key, label=label)

    def subgroup(self, ranks: list[int], *, label: str | None = None) -> Communicator | None:
        self.compare("subgroup", None, None, label)
        return super().subgroup(ranks, label=label)

    def shared(self, nbytes: int, *, label: str | None = None) -> np.ndarray:
        if not is_whole(nbytes) or nbytes < 0:
            raise wrong_call(self, label, "shared", f"needs a number of bytes, not {nbytes!r:.40}")
        self.compare("shared", (nbytes,), np.dtype(np.uint8), label)
        return self.inner.shared(nbytes, label=label)

    def compare(self, op: str, shape: tuple[int, ...] | None, dtype: np.dtype | None, label: str | None,
                root: int | None = None,
                algorithm: str | None = None, counts: Sequence[int] | None = None) -> None:
        """Raises the same CommError on every rank of the group unless all ranks make the same call."""
        self.ledger.refuse_late_calls()
        if self.size == 1:
            return
        label = label_or_call_site(label)
        # call sites are not compared, since other ranks may call from other lines
        given = "" if isinstance(label, CallSite) else label
        count = None if shape is None else math.prod(shape)
        # int() gives Python's 1 and NumPy's 1 the same text; `said` is quicker to make than JSON
        rows = None if counts is None else [int(each) for each in counts]
        said = f"{op} {count} {dtype and dtype.str} {root} {algorithm} {rows} {self.inner.collectives}"
        fingerprint = np.array([zlib.crc32(said.encode()) | zlib.crc32(given.encode()) << 31])
        everyone = exchange(self.inner, fingerprint, label=label, tag=CHECK_TAG)
        if (everyone == fingerprint).all():
            return
        account = json.dumps({
            "op": op, "count": count, "dtype": dtype and str(dtype), "root": root, "algorithm": algorithm,
            "counts": rows, "number": self.inner.collectives, "label": given, "shape": shape,
            "location": caller()[1], "after": after()}, default=int)
        accounts = exchange_texts(self.inner, account, label=label, tag=CHECK_TAG)
        if error := disagreement(self, [json.loads(text) for text in accounts]):
            raise error


def no_request(comm: Communicator, call: str, given: object) -> CommError:
    return wrong_call(comm, None, call, f"needs a request, which isend or irecv returns, not {given!r:.40}",
                      item="request")
