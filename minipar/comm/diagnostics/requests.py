"""What is said about a request: what it waits for, and what came that does not fit."""

from __future__ import annotations

from minipar.comm.deadlock.wait_graph import State
from minipar.comm.diagnostics.call_site import CallSite, after, caller, this_call
from minipar.comm.protocol import TAGS, Communicator, Request
from minipar.errors import CommError


def waiting(comm: Communicator, request: Request, detail: str = "") -> State:
    """This rank waits for this request of `comm`, in the call of the program that is under way. detail: what
    came instead.
    """
    operation, place = caller()
    tag = request.tag if request.tag < TAGS else None  # the tag of a collective tells a reader nothing
    group = "" if comm.name == "world" else comm.name
    label = "" if isinstance(request.label, CallSite) else request.label
    peer, detail = comm.members[request.peer], together(after(), detail)
    return State("waiting", peer, group, request.kind, tag, operation, label, place, detail)


def together(*details: str) -> str:
    """Those that say something."""
    return "; ".join(filter(None, details))


def unfit(comm: Communicator, request: Request, came: str) -> CommError:
    """The error of a receive whose message does not fit; `came` says what was sent."""
    tag = f" with tag {request.tag}" if 0 < request.tag < TAGS else ""
    array, label = request.array, request.label
    return CommError(f"{this_call(comm, label, 'recv', tag)} expects {array.shape} {array.dtype} from rank "
                     f"{request.peer}, "
                     f"which sent {came} (expected {count(array.size)})")


def count(elements: int) -> str:
    """ "1 element", "12 elements"."""
    return f"{elements} element{'s' * (elements != 1)}"
