"""The engine over MPI. Each rank is a process, which mpirun starts.

MPI alone would deliver 8 float32 numbers into a buffer of 4 float64 numbers without an error. In this engine,
the code of the dtype is part of the MPI tag (tag * 16 + code). So a message of another dtype does not match
the receive. This check costs nothing. After a long wait, a receiver probes for such a message and reports it.
In checked mode, a program's message has a header with more information (headed.py, headers.py). The engine
calls only the non-blocking buffer calls (Isend, Irecv), because a blocking call has no time limit.
"""

from __future__ import annotations

from threading import get_ident
from typing import cast

import mpi4py
import numpy as np

mpi4py.rc.thread_level = "funneled"  # only the main thread calls MPI, so MPI needs no locks

from mpi4py import MPI  # noqa: E402

from minipar.comm.agreement import agree_on_groups, group_name  # noqa: E402
from minipar.comm.backoff import Patience  # noqa: E402
from minipar.comm.deadlock.detector import Lookout  # noqa: E402
from minipar.comm.diagnostics.call_site import label_or_call_site, this_call, wrong_call  # noqa: E402
from minipar.comm.diagnostics.forked import CHILD, forked, refuse_after_fork  # noqa: E402
from minipar.comm.diagnostics.header import unfit  # noqa: E402
from minipar.comm.diagnostics.requests import other_thread  # noqa: E402
from minipar.comm.mpi.headers import WIRE, open_header, unheaded  # noqa: E402
from minipar.comm.mpi.messages import (
    Arriving,
    Probing,
    look_at_letters,
    message_done,
    receive_letter,
    start_letter,
    wire_source,
    wire_tag,
)  # noqa: E402
from minipar.comm.mpi.native import NativeCollectives  # noqa: E402
from minipar.comm.protocol import CODES, DTYPES, TAGS, Communicator, MessageEnvelope, Request
from minipar.comm.refusals import check_message, one_node  # noqa: E402
from minipar.comm.room import require_room  # noqa: E402
from minipar.errors import CommError  # noqa: E402

__all__ = ["MPI", "MpiComm"]  # other files import MPI from here, since it is configured above

HALF = CODES[np.dtype(np.float16)]  # MPI has no type for float16, so its bytes are sent as uint16


class MpiComm(Communicator):
    """The communicator of one rank over MPI's communicator `intracomm`."""

    def __init__(self, intracomm: MPI.Intracomm, nodes: dict[int, int], lookout: Lookout, synchronous: bool,
                 members: tuple[int, ...], name: str = "world") -> None:
        self.intracomm, self.lookout, self.synchronous, self.name = intracomm, lookout, synchronous, name
        self.polling = lookout.polling
        self.rank, self.size, self.members = intracomm.rank, intracomm.size, members
        self.native = NativeCollectives(intracomm, lookout.watchdog)
        self.thread = get_ident()
        refuse_after_fork(self)
        self.node_of = nodes
        self.nodes = tuple(nodes[member] for member in members)
        self.patience = Patience(list(nodes.values()).count(self.nodes[self.rank]))
        self.start_send = intracomm.Issend if synchronous else intracomm.Isend
        self.status = MPI.Status()
        # for messages with an envelope; `open_messages` stores a duplicate of intracomm here
        self.letters: MPI.Intracomm = intracomm
        self.start_letter = self.start_send
        self.arriving: list[Request] = []  # receives of any length that have no message yet
        self.buffers: list[bytearray] = []  # buffers for headers, to be used again
        self.abandoned: list[MPI.Request] = []  # receives of arrays whose header did not fit
        self.windows: list[MPI.Win] = []  # shared memory exists as long as its window

    def isend(self, array: np.ndarray, dest: int, *, label: str | None = None, tag: int = 0) -> Request:
        if type(label) is not str:
            label = label_or_call_site(label)
        if get_ident() != self.thread:
            self.refuse_others("send", label)
        code = check_message(self, "send", array, dest, label, tag)
        if self.polling.tests:
            self.lookout.sent(self.members[dest])
        plain = array if code != HALF else array.view(np.uint16)
        return Request("send", dest, tag, array, label, self.start_send(plain, dest, tag * WIRE + code))

    def irecv(self, out: np.ndarray, source: int, *, label: str | None = None, tag: int = 0) -> Request:
        if type(label) is not str:
            label = label_or_call_site(label)
        if get_ident() != self.thread:
            self.refuse_others("recv", label)
        code = check_message(self, "recv", out, source, label, tag)
        plain = out if code != HALF else out.view(np.uint16)
        return Request("recv", source, tag, out, label,
                       self.intracomm.Irecv(plain, source, tag * WIRE + code))

    def refuse_others(self, call: str, label: str | None) -> None:
        """Raises CommError if the caller is not the rank's own thread, or is a child process of the rank."""
        if get_ident() != self.thread:
            refused = forked if self.thread == CHILD else other_thread
            raise refused(self, call, label_or_call_site(label))

    def isend_message(self, data: np.ndarray, dest: int, *, type_code: int, tag: int = 0,
                      label: str | None = None, synchronous: bool = False) -> Request:
        label = label_or_call_site(label)
        if get_ident() != self.thread:
            self.refuse_others("send", label)
        handle = start_letter(self, data, dest, type_code, tag, synchronous)
        return Request("send", dest, tag, data, label, handle, type_code=type_code)

    def send_message(self, data: np.ndarray, dest: int, *, type_code: int, tag: int = 0,
                     label: str | None = None, synchronous: bool = False) -> None:
        if get_ident() != self.thread:
            self.refuse_others("send", label)
        handle = start_letter(self, data, dest, type_code, tag, synchronous)
        if not handle.Test():  # usually the send is complete at once and needs no Request
            self.wait(Request("send", dest, tag, data, label_or_call_site(label), handle,
                              type_code=type_code))

    def irecv_message(self, out: np.ndarray | None, source: int, *, type_code: int, tag: int = 0,
                      label: str | None = None) -> Request:
        label = label_or_call_site(label)
        self.refuse_others("recv", label)
        # if `out` is None, the array is set when the request is complete
        request = Request("recv", source, tag, out,                 # type: ignore[arg-type]
                          label, type_code=type_code)
        if out is None:
            request.handle = Arriving(self.letters, request)
            self.arriving.append(request)
        else:
            request.handle = self.letters.Irecv((out, MPI.BYTE), wire_source(source),
                                                wire_tag(tag, type_code))
        return request

    def recv_message(self, out: np.ndarray, source: int, *, type_code: int, tag: int = 0,
                     label: str | None = None) -> MessageEnvelope:
        if get_ident() != self.thread:
            self.refuse_others("recv", label)
        return receive_letter(self, out, source, type_code, tag, label)

    def probe_message(self, source: int, *, tag: int = 0, label: str | None = None) -> Request:
        request = Request("probe", source, tag, None,               # type: ignore[arg-type]
                          label_or_call_site(label), type_code=0)
        request.handle = Probing(self.letters, request)
        return request

    def cancel_message(self, request: Request) -> bool:
        if request.kind == "probe":
            return True
        if isinstance(request.handle, Arriving):
            if request in self.arriving:
                self.arriving.remove(request)
                return True
            return False
        request.handle.Cancel()
        request.handle.Wait(self.status)
        return self.status.Is_cancelled()

    def open_messages(self) -> None:
        # the barrier comes before Dup, because the barrier's error can name a missing rank
        self.barrier(label="open messages")
        with self.lookout.watchdog.of("open messages"):
            self.letters = self.intracomm.Dup()
        self.start_letter = self.letters.Issend if self.synchronous else self.letters.Isend

    def group_of(self, ranks: list[int], tag: int, *, label: str | None = None) -> Communicator:
        whole = self.intracomm.Get_group()
        with self.lookout.watchdog.of("group", label):
            part = self.intracomm.Create_group(whole.Incl(ranks), tag % TAGS)
        members = tuple(self.members[rank] for rank in ranks)
        return self.part(part, members, group_name(label, members))

    def part(self, intracomm: MPI.Intracomm, members: tuple[int, ...], name: str) -> MpiComm:
        part = MpiComm(intracomm, self.node_of, self.lookout, self.synchronous, members, name)
        part.arriving = self.arriving
        return part

    def test(self, request: Request) -> bool:
        if request.done and get_ident() == self.thread:
            return True
        if self.is_done(request):
            if self.polling.tests:
                self.lookout.resume()
            return True
        if self.polling.failed(self, request):
            first, comm = next(iter(self.polling.requests.items()))
            # every group of this rank is an MpiComm
            comm.look(first, self.polling.waited)  # type: ignore[attr-defined]
        return False

    def is_done(self, request: Request) -> bool:
        """Test the request like `test`, but without the time limit."""
        if get_ident() != self.thread:  # `is_done` runs often, so the text is made only for an error
            self.refuse_others(f"wait for {request.kind}", request.label)
        if self.arriving:
            self.arriving[:] = [other for other in self.arriving if not other.handle.look()]
        if request.done:
            return True
        if request.type_code is not None:
            return message_done(self, request, self.status)
        try:
            if not request.handle.Test(self.status):
                return False
            if request.kind == "recv":
                if request.content is not None:
                    if not open_header(self, request):
                        return False
                elif self.status.count != request.array.nbytes:
                    raise unfit(self, request, unheaded(self.status, request.array.dtype))
        except MPI.Exception as error:
            request.handle = Failed(self.refused(request, error))
        except CommError as error:
            request.handle = Failed(error)
        else:
            request.done = True
            return True
        return bool(request.handle.Test())

    def wait(self, request: Request) -> np.ndarray:
        if not self.is_done(request):
            self.polling.stop()
            self.patience.wait(self.is_done, request, self.look)
            self.lookout.resume()
        elif self.polling.tests and request.kind != "send":
            self.lookout.resume()
        return request.array

    def look(self, request: Request, waited: float) -> None:
        """Probe for messages with another dtype or tag. Then let the deadlock detector (`lookout`) search for
        a reason to end the wait. A waiting rank calls this method from time to time.
        """
        misfit, strays = None, ""
        if request.type_code is not None:
            misfit, strays = look_at_letters(self, request)
        elif request.kind == "recv":
            for code, dtype in enumerate(DTYPES):
                if dtype != request.array.dtype and self.intracomm.Iprobe(
                    request.peer, request.tag * WIRE + code, self.status
                ):
                    misfit = unfit(self, request, unheaded(self.status, dtype))
            if self.intracomm.Iprobe(request.peer, MPI.ANY_TAG,
                                     self.status) and (tag := self.status.tag // WIRE) < TAGS:
                strays = f"a message came with tag {tag}"
        try:
            self.lookout.look(self, request, waited, strays, misfit)
        except CommError as error:
            raise self.lookout.caught.raised(error) from None

    def refused(self, request: Request, error: MPI.Exception) -> CommError:
        """Returns the error for an MPI exception. If a message is longer than the receive buffer, MPI
        truncates the message. Then the length of the message is unknown.
        """
        if error.Get_error_class() != MPI.ERR_TRUNCATE:
            start = this_call(self, request.label, request.kind)
            return CommError(f"{start}: {error.Get_error_string()}")
        return wrong_call(self, request.label, request.kind,
                          f"expects {request.array.size} elements of {request.array.dtype} from rank "
                          f"{request.peer}, which sent more", kind="other message", source=request.peer)

    def subgroup(self, ranks: list[int], *, label: str | None = None) -> Communicator | None:
        agree_on_groups(self, ranks, label=label)
        return self.agreed_group(ranks, label=label)

    def agreed_group(self, ranks: list[int], *, label: str | None = None) -> Communicator | None:
        color = min(ranks) if ranks else MPI.UNDEFINED
        with self.lookout.watchdog.of("subgroup", label):
            part = cast(MPI.Intracomm, self.intracomm.Split(color, ranks.index(self.rank) if ranks else 0))
        if not ranks:
            return None
        members = tuple(self.members[rank] for rank in ranks)
        return self.part(part, members, group_name(label, members))

    def shared(self, nbytes: int, *, label: str | None = None) -> np.ndarray:
        one_node(self, label)
        # require_room comes before the MPI call: if a rank is missing, its error can name the rank
        require_room(self, nbytes, label=label)
        with self.lookout.watchdog.of("shared", label):
            window = MPI.Win.Allocate_shared(nbytes if self.rank == 0 else 0, 1, comm=self.intracomm)
        self.windows.append(window)
        memory, _ = window.Shared_query(0)
        block = np.asarray(memory, np.uint8)
        if self.rank == 0:
            block[:] = 0
        self.barrier(label=label)
        return block


class Failed:
    """The handle of a failed request. Each test raises the same error again."""

    def __init__(self, error: CommError) -> None:
        self.error = error

    def Test(self, status: MPI.Status | None = None) -> bool:
        raise self.error
