"""Where is a rank that computes, and so writes nothing on the board? Its process is asked, and answers from within a long call.

On SIGUSR2 Python's faulthandler writes the stack of the process to a file, without any help of the program. (SIGUSR1 is left to the
program: Slurm sends it before a job's time is up.)
"""

import faulthandler
import os
import re
import signal
import tempfile
import time

from minipar.comm.caller import LIBRARIES

ANSWER = 1.0                # seconds that a process gets to answer
HEADER = "most recent call first"
LINE = re.compile(r'File "(.*)", line (\d+) in ')


def be_findable() -> int:
    """Answer such requests from now on; returns the number of the file, among this process's own, to read the answer in."""
    handle, name = tempfile.mkstemp(prefix="minipar-")
    os.unlink(name)
    os.set_inheritable(handle, False)
    faulthandler.register(signal.SIGUSR2, file=handle, all_threads=False)
    return handle


def find(pid: int, handle: int) -> str:
    """ "file.py:88", the innermost line of that process that is not a library's; "" if it does not answer."""
    path = f"/proc/{pid}/fd/{handle}"
    try:
        asked_before = os.stat(path).st_size
        os.kill(pid, signal.SIGUSR2)
        deadline, size = time.monotonic() + ANSWER, -1
        while time.monotonic() < deadline:
            before, size = size, os.stat(path).st_size
            if size == before > asked_before:                       # written, and no longer being written
                break
            time.sleep(0.01)
        with open(path, encoding="utf-8", errors="replace") as file:
            answer = file.read()[asked_before:]
    except OSError:
        return ""
    lines = LINE.findall(answer.rpartition(HEADER)[2])
    own = [line for line in lines if not line[0].startswith(LIBRARIES)] or lines
    return f"{os.path.basename(own[0][0])}:{own[0][1]}" if own else ""
