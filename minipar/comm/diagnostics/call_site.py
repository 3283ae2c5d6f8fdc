"""Finds the program's current call of minipar and its line, for error messages.

This module walks up the stack, from the inner frames to the outer ones, until it leaves minipar/comm/. The
last function inside is the function that the program called (recv, all_reduce, barrier). So the calls
themselves need not record their names and lines.
"""

import os
import sys
import sysconfig
from functools import cache
from sys import _getframe
from types import CodeType, FrameType
from typing import Any

from minipar.errors import CommError

COMM = os.path.dirname(os.path.dirname(__file__))                   # minipar/comm
PACKAGE = os.path.dirname(COMM) + os.sep  # minipar/
# frames of files in these folders are not frames of the program
INSIDE = (COMM + os.sep, os.path.join(PACKAGE, "mpi4py_face") + os.sep)
WITH = "contextlib.py"  # is on the stack between a program's `with` block and a generator of minipar
LIBRARIES = "<frozen ", *{sysconfig.get_path(name) + os.sep
                          for name in ("stdlib", "platstdlib", "purelib", "platlib")}
NAMES: dict[str, str] = {}  # the result of `outside` for each file
MOST_KNOWN = 4096  # most entries of each cache of lines


class CallSite(str):
    """The label of a call to which the program gave no label: its line, such as "train.py:88". Errors show
    this line, but the ranks do not compare it.
    """

    __slots__ = ()


# A cache of the lines that were found before. It maps the id of a code object to the object and to a table:
# position in the bytecode -> line. It saves time in loops, which call from the same line many times: finding
# the number of a line takes a microsecond.
KNOWN: dict[int, tuple[CodeType, dict[int, CallSite]]] = {}
# The lines that `program_line` found before: (position in the bytecode, id of the code object) -> (line, code
# object). The code object is kept, so that no other object gets its id.
PROGRAM: dict[tuple[int, int], tuple[CallSite, CodeType]] = {}
# position in the bytecode -> the last of these lines at this position. `program_line` tries it first, because
# one number is quicker to look up than two.
LAST: dict[int, tuple[CallSite, CodeType]] = {}
UNKNOWN = CallSite(""), None


def line_in(frame: FrameType, name: str) -> CallSite:
    """Returns the line that a frame executes, such as "train.py:88". name: the short name of the file."""
    code = frame.f_code
    known = KNOWN.get(id(code))
    if known is None:
        if len(KNOWN) >= MOST_KNOWN:
            KNOWN.clear()
        known = KNOWN[id(code)] = code, {}
    lines, position = known[1], frame.f_lasti
    found = lines.get(position)
    if found is None:
        found = lines[position] = CallSite(f"{name}:{frame.f_lineno}")
    return found


def label_or_call_site(label: str | None) -> str:
    """Returns the label, or the line of the program if the label is None. Raises CommError for a label that
    is not a string.
    """
    if label is None:
        return call_site()
    if isinstance(label, str):
        return label
    raise CommError(f"{caller()[0]} at {caller()[1]}: a label is a short text, not {type(label).__name__}; "
                    "give it as label='...'")


def call_site() -> CallSite:
    """Returns the innermost line on the stack that is outside minipar, such as "train.py:88". If there is
    none, returns the line that `caller` finds.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if name := program_name(frame.f_code.co_filename):
            return line_in(frame, name)
        frame = frame.f_back
    return caller()[1]


def caller(inside: int = 1) -> tuple[str, CallSite]:
    """Returns (operation, location): the outermost function of comm/ on this thread's stack, and the line
    that called it, such as "file.py:88". inside: the number of innermost frames that are known to be in
    comm/.
    """
    frame: FrameType = sys._getframe(inside)
    operation = frame.f_code.co_name
    while True:  # each frame costs one dictionary look-up
        path = frame.f_code.co_filename
        if (name := NAMES.get(path)) is None:
            name = NAMES[path] = outside(path)
        if name and name != WITH:
            return operation, line_in(frame, name)
        if frame.f_back is None:  # no frame belongs to the program, as in an atexit function
            return operation if name else frame.f_code.co_name, CallSite(f"{short(path)}:{frame.f_lineno}")
        operation = operation if name else frame.f_code.co_name
        frame = frame.f_back


def calling_line(inside: int) -> CallSite:
    """Returns the location of `caller(inside)`. This runs once per message. So it first looks in KNOWN for
    the frame that called the innermost ones. It walks up the stack only if this frame's line is not there.
    """
    try:
        frame = _getframe(inside + 1)
    except ValueError:                                              # the stack has no such frame
        return caller(inside)[1]
    known = KNOWN.get(id(frame.f_code))
    line = None if known is None else known[1].get(frame.f_lasti)
    return caller(inside + 1)[1] if line is None else line


def program_line(inside: int) -> CallSite:
    """Returns `call_site()`. It is quick if LAST or PROGRAM has the line of the frame that called the
    `inside` innermost frames.
    """
    frame = _getframe(inside + 1)
    line, code = LAST.get(frame.f_lasti, UNKNOWN)
    return line if code is frame.f_code else remember_line(frame)


def remember_line(frame: FrameType) -> CallSite:
    """Returns `call_site()`. If this is the line of `frame`, keeps it in LAST and PROGRAM."""
    position, code = frame.f_lasti, frame.f_code
    known = PROGRAM.get((position, id(code)))
    if known is None:
        known = call_site(), code
        if not program_name(code.co_filename):
            return known[0]
        if len(PROGRAM) >= MOST_KNOWN:
            PROGRAM.clear()
            LAST.clear()
        PROGRAM[position, id(code)] = known
    LAST[position] = known
    return known[0]


def count_as_inside(path: str) -> None:
    """Treat this file like a file of comm/ from now on: it calls communicators for the program."""
    NAMES[path] = ""


def this_call(comm: Any, label: str | None, operation: str, tag: str = "") -> str:
    """Returns the beginning of an error message about the current call: "rank 0 of 2 in world: send 'weights'
    at train.py:88".
    """
    return f"{whose(comm)}: {operation}{quoted(label)}{tag} at {caller()[1]}"


def wrong_call(comm: Any, label: str | None, operation: str, text: str, **facts: object) -> CommError:
    """Returns the error of the current call of the program. Its facts are the operation, the label (None if
    the program gave none), the rank in the group, and `facts`. `item` names the argument that is wrong.
    """
    return CommError(f"{this_call(comm, label, operation)} {text}", operation=operation,
                     label=None if isinstance(label, CallSite) else label, rank=comm.rank, **facts)


def whose(comm: Any) -> str:
    """Returns the rank and the group in words: "rank 0 of 2 in world" or "rank 0 of 2 in group 'stages'"."""
    return f"rank {comm.rank} of {comm.size} in {group(comm.name)}"


def group(name: str) -> str:
    """Returns the words for a group: "world", or "group 'stages'"."""
    return name if name == "world" else f"group '{name}'"


def quoted(label: str | None) -> str:
    """Returns " 'gradients'" for a label. Returns "" for a call without a label, since the error names its
    line anyway.
    """
    return "" if not label or isinstance(label, CallSite) else f" '{label}'"


def after() -> str:
    """Returns the exception that the program is handling during this call: "after ValueError: no data".
    Returns "" if there is none.
    """
    error = sys.exc_info()[1]
    return "" if error is None else f"after {type(error).__name__}: {error}".splitlines()[0][:80]


def location_of(frame: FrameType | None) -> str:
    """Returns the innermost line of the program on a stack, such as "file.py:88"; "" if there is none."""
    while frame is not None and not of_the_program(frame.f_code.co_filename):
        frame = frame.f_back
    return "" if frame is None else f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"


def communicates(frame: FrameType | None) -> bool:
    """Returns whether a stack is inside a call that the program made to comm/."""
    while frame is not None and not of_the_program(frame.f_code.co_filename):
        if frame.f_code.co_filename.startswith(INSIDE):
            return frame.f_back is not None and bool(location_of(frame))
        frame = frame.f_back
    return False


def of_the_program(path: str) -> bool:
    """Returns whether a file belongs neither to a library nor to comm/. The rest of minipar counts as the
    program.
    """
    return not path.startswith(INSIDE) and (path.startswith(PACKAGE) or not path.startswith(LIBRARIES))


def outside(path: str) -> str:
    """Returns a short name for a file of the program; "" for a file of comm/ or mpi4py_face/."""
    return "" if path.startswith(INSIDE) else short(path)


@cache
def program_name(path: str) -> str:
    """Returns a short name for a file outside minipar and libraries; "" for other files."""
    return "" if path.startswith((PACKAGE, *LIBRARIES)) else short(path)


def short(path: str) -> str:
    folder, name = os.path.split(path)
    return f"{os.path.basename(folder)}/{name}" if name == "__init__.py" else name
