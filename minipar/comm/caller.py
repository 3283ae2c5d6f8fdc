"""What the program is doing, and on which line: what every message of the checks says.

Walks the stack outwards until it leaves minipar/comm/. The last function inside is what the program called, so its name (recv,
all_reduce, barrier) says what the rank is doing, with no bookkeeping on the way.
"""

import os
import sys
from functools import cache

from minipar.comm.protocol import TAGS, Communicator, Request
from minipar.comm.rollcall import State

INSIDE = os.path.dirname(__file__) + os.sep


def caller() -> tuple[str, str]:
    """(operation, place): the outermost function of comm/ on this thread's stack, and "file.py:88" that called it."""
    frame = sys._getframe(1)
    code = frame.f_code
    while frame.f_back is not None and not (name := outside(frame.f_code.co_filename)):
        code = frame.f_code
        frame = frame.f_back
    return code.co_name, f"{name}:{frame.f_lineno}"


def waiting(comm: Communicator, request: Request) -> State:
    """This rank waits for this request of `comm`, in the call of the program that is under way."""
    operation, place = caller()
    tag = request.tag if request.tag < TAGS else None               # the tag of a collective tells a reader nothing
    return State("waiting", comm.members[request.peer], request.kind, tag, operation, request.why, place)


@cache
def outside(path: str) -> str:
    """A short name for a file of the program, "" for one of ours."""
    if path.startswith(INSIDE):
        return ""
    folder, name = os.path.split(path)
    return f"{os.path.basename(folder)}/{name}" if name == "__init__.py" else name
