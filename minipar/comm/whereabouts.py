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

from minipar.comm.caller import of_the_program

ANSWER = 2.0                # seconds that a process gets to answer
NO_LINE = "???"             # what faulthandler says for an instruction that CPython has added and that stands on no line
LINE = re.compile(r'File "(.*)", line (\d+|\?\?\?) in .*\n')      # of a stack, which is written from its innermost line on


def be_findable() -> int:
    """Answer such requests from now on; returns the number of the file, among this process's own, to read the answer in."""
    handle, name = tempfile.mkstemp(prefix="minipar-")
    os.unlink(name)
    os.set_inheritable(handle, False)
    faulthandler.register(signal.SIGUSR2, file=handle, all_threads=False)
    return handle


def find(pid: int, handle: int) -> str:
    """ "file.py:88", the innermost line of that process that is the program's; "" if there is none, or it does not answer."""
    try:
        with open(f"/proc/{pid}/fd/{handle}", "rb") as file:
            file.seek(0, os.SEEK_END)
            os.kill(pid, signal.SIGUSR2)
            answer, deadline = b"", time.monotonic() + ANSWER
            while time.monotonic() < deadline:
                answer += file.read()                               # it may come in pieces
                lines = LINE.findall(answer.decode(errors="replace"))
                path, line = next((entry for entry in lines if of_the_program(entry[0])), ("", ""))
                if line == NO_LINE:                                 # ask again: a moment later it is on one
                    file.seek(0, os.SEEK_END)
                    os.kill(pid, signal.SIGUSR2)
                    answer = b""
                elif line:
                    return f"{os.path.basename(path)}:{line}"
                time.sleep(0.01)
    except OSError:
        pass
    return ""
