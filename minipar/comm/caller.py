"""Which line of the program is calling us: what every message of the checks ends with.

Walks the stack outwards until it leaves minipar/comm/. The last function inside is what the program called, so its name (recv,
all_reduce, barrier) says what the rank is doing, with no bookkeeping on the way.
"""

import os
import sys

INSIDE = os.path.dirname(__file__) + os.sep


def caller() -> tuple[str, str]:
    """(operation, place): the outermost function of comm/ on this thread's stack, and "file.py:88" that called it."""
    frame = sys._getframe(1)
    operation = frame.f_code.co_name
    while frame.f_back is not None and frame.f_code.co_filename.startswith(INSIDE):
        operation = frame.f_code.co_name
        frame = frame.f_back
    path, name = os.path.split(frame.f_code.co_filename)
    if name == "__init__.py":
        name = f"{os.path.basename(path)}/{name}"
    return operation, f"{name}:{frame.f_lineno}"
