"""Where is a rank that computes, and so writes nothing on the board? Its process is asked, and answers from
within a long call.

On a signal Python's faulthandler writes the stack of the process to a file, without any help of the program.
The signal is one of the system's real-time signals, which no program uses: SIGUSR1 and SIGUSR2 are left to it
(Slurm sends them before a job's time is up). A process that no longer catches the signal would be ended by
it, and is not asked.
"""

import faulthandler
import os
import re
import signal
import tempfile
import time

from minipar.comm.diagnostics.call_site import of_the_program

SIGNAL = signal.SIGRTMIN + 9 if hasattr(signal, "SIGRTMIN") else signal.SIGUSR2
ANSWER = 2.0                # seconds that a process gets to answer
NO_LINE = "???"  # what faulthandler says for an instruction that CPython has added and that stands on no line
# of a stack, which is written from its innermost line on
LINE = re.compile(r'File "(.*)", line (\d+|\?\?\?) in .*\n')


def be_findable() -> int:
    """Answer such requests from now on; returns the number of the file, among this process's own, to read the
    answer in.
    """
    handle, name = tempfile.mkstemp(prefix="minipar-")
    os.unlink(name)
    os.set_inheritable(handle, False)
    faulthandler.register(SIGNAL, file=handle, all_threads=False)
    return handle


def find(pid: int, handle: int) -> str:
    """ "file.py:88", the innermost line of that process that is the program's; "" if there is none, or it
    does not answer.
    """
    try:
        with open(f"/proc/{pid}/fd/{handle}", "rb") as file:
            file.seek(0, os.SEEK_END)
            if not catches(pid, SIGNAL):
                return ""
            os.kill(pid, SIGNAL)
            answer, deadline = b"", time.monotonic() + ANSWER
            while time.monotonic() < deadline:
                answer += file.read()                               # it may come in pieces
                lines = LINE.findall(answer.decode(errors="replace"))
                path, line = next((entry for entry in lines if of_the_program(entry[0])), ("", ""))
                if line == NO_LINE:                                 # ask again: a moment later it is on one
                    file.seek(0, os.SEEK_END)
                    os.kill(pid, SIGNAL)
                    answer = b""
                elif line:
                    return f"{os.path.basename(path)}:{line}"
                time.sleep(0.01)
    except OSError:
        pass
    return ""


def catches(pid: int, number: int) -> bool:
    """Whether a process has a handler for this signal, from the process table (proc(5): a mask, bit 0 for
    signal 1).
    """
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        mask = next((line.split()[1] for line in file if line.startswith("SigCgt:")), "0")
    return bool(int(mask, 16) >> (number - 1) & 1)
