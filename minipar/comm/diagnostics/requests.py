"""Describes the state of a rank that waits for a request. It also makes the errors about messages that do not
fit.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from minipar.comm.deadlock.wait_graph import State
from minipar.comm.diagnostics.call_site import CallSite, after, caller, this_call, wrong_call
from minipar.comm.message_types import BYTES, OBJECT, amount
from minipar.comm.protocol import ANY, TAGS, Communicator, MessageEnvelope, Request
from minipar.errors import CommError


def waiting(comm: Communicator, request: Request, detail: str = "") -> State:
    """Returns the state of this rank while it waits for a request of `comm`. detail: a text about messages
    that arrived with another tag.
    """
    operation, location = caller()
    tag = int(request.tag) if request.tag < TAGS else None  # tags of collectives are not shown
    group = "" if comm.name == "world" else comm.name
    label = "" if isinstance(request.label, CallSite) else request.label
    detail = together(after(), detail)
    peer, others = ((None, partners(comm, request)) if request.peer == ANY
                    else (comm.members[request.peer], ()))
    return State("waiting", peer, group, request.kind, tag, operation, label, location, detail, others)


def partners(comm: Communicator, request: Request) -> Sequence[int]:
    """Returns the world ranks that can complete the request."""
    if request.peer == ANY:
        return [member for rank, member in enumerate(comm.members) if rank != comm.rank]
    return [comm.members[request.peer]]


def together(*details: str) -> str:
    """Returns one text with all details that are not empty."""
    return "; ".join(filter(None, details))


def unfit_message(comm: Communicator, request: Request, came: MessageEnvelope) -> str:
    """Returns the error text for a message that has another type or is too long; "" if the message fits."""
    room = None if request.array is None else request.array.nbytes
    own_type = came.type_code == request.type_code or request.type_code == OBJECT and came.type_code == BYTES
    if own_type and (room is None or came.nbytes <= room):
        return ""
    assert request.type_code is not None
    expected = "a pickled object" if room is None else f"at most {amount(request.type_code, room)}"
    tag = f" with tag {came.tag}" if came.tag > 0 else ""
    return (f"{this_call(comm, request.label, 'recv')} expects {expected}{tag} from rank {came.source}, "
            f"which sent {amount(came.type_code, came.nbytes)}")


def other_thread(comm: Communicator, call: str, label: str) -> CommError:
    """Returns the error for a call by a second thread of a rank. Such calls are not allowed: two threads
    could receive each other's messages, and the deadlock detector has only one state per rank.
    """
    return wrong_call(comm, label, call, "is called by the thread of "
                      f"{threading.current_thread().name}; each rank must use the communicator that it was "
                      "given, in its own thread", kind="other thread")
