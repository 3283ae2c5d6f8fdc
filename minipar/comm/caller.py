"""What the program is doing, and on which line: what every message of the checks says.

Walks the stack outwards until it leaves minipar/comm/. The last function inside is what the program called, so its name (recv,
all_reduce, barrier) says what the rank is doing, with no bookkeeping on the way.
"""

import os
import sys
import sysconfig
from functools import cache
from types import FrameType

from minipar.comm.protocol import TAGS, Communicator, Request
from minipar.comm.rollcall import State
from minipar.errors import CommError

INSIDE = os.path.dirname(__file__) + os.sep
PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep
LIBRARIES = "<frozen ", *{sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")}


def caller() -> tuple[str, str]:
    """(operation, place): the outermost function of comm/ on this thread's stack, and "file.py:88" that called it."""
    frame = sys._getframe(1)
    operation = frame.f_code.co_name
    while not (name := outside(frame.f_code.co_filename)) and frame.f_back is not None:
        operation, frame = frame.f_code.co_name, frame.f_back
    return operation, f"{name}:{frame.f_lineno}"


def after() -> str:
    """ "after ValueError: no data": the exception on whose way out the program makes this call, as in a `finally`; else ""."""
    error = sys.exc_info()[1]
    return "" if error is None else f"after {type(error).__name__}: {error}".splitlines()[0][:80]


def waiting(comm: Communicator, request: Request, detail: str = "") -> State:
    """This rank waits for this request of `comm`, in the call of the program that is under way. detail: what came instead."""
    operation, place = caller()
    tag = request.tag if request.tag < TAGS else None               # the tag of a collective tells a reader nothing
    group = "" if comm.name == "world" else comm.name
    peer, detail = comm.members[request.peer], together(after(), detail)
    return State("waiting", peer, group, request.kind, tag, operation, request.label, place, detail)


def together(*details: str) -> str:
    """Those that say something."""
    return "; ".join(filter(None, details))


def unfit(comm: Communicator, request: Request, came: str) -> CommError:
    """The error of a receive whose message does not fit; `came` says what was sent."""
    _, place = caller()
    tag = f" with tag {request.tag}" if 0 < request.tag < TAGS else ""
    return CommError(f"rank {comm.rank} of {comm.size} in {comm.name}: recv '{request.label}'{tag} at {place} expects "
                     f"{request.array.shape} {request.array.dtype} from rank {request.peer}, which sent {came}")


def place_of(frame: FrameType | None) -> str:
    """ "file.py:88": the innermost line of a stack that is the program's; "" if there is none."""
    while frame is not None and not of_the_program(frame.f_code.co_filename):
        frame = frame.f_back
    return "" if frame is None else f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"


def of_the_program(path: str) -> bool:
    """Whether a file is no library's, nor one of comm/. The rest of minipar counts as the program, wherever it is installed."""
    return not path.startswith(INSIDE) and (path.startswith(PACKAGE) or not path.startswith(LIBRARIES))


@cache
def outside(path: str) -> str:
    """A short name for a file of the program, "" for one of ours."""
    if path.startswith(INSIDE):
        return ""
    folder, name = os.path.split(path)
    return f"{os.path.basename(folder)}/{name}" if name == "__init__.py" else name
