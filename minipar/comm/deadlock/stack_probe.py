"""Finds the current line of a rank that computes: a signal makes its process write its stack, even inside a
long call.

On the signal, Python's faulthandler writes the stack to a file, without help from the program. The signal is
sent to the main thread, in which the program runs. A signal to the process could be delivered to another
thread, if the main thread already has a pending signal (when two ranks ask at the same time).

The signal is a real-time signal that programs do not use: SIGUSR1 and SIGUSR2 stay free for the program
(Slurm sends them before the end of a job's time). The signal would end a process that does not catch it; such
a process gets no signal.
"""

import ctypes
import faulthandler
import os
import re
import signal
import tempfile
import time

from minipar.comm.diagnostics.call_site import of_the_program

SIGNAL = signal.SIGRTMIN + 9 if hasattr(signal, "SIGRTMIN") else signal.SIGUSR2
ANSWER = 2.0                # seconds to wait for the answer after the signal is delivered
LONGEST = 8.0               # seconds to wait in all: a process that waits for a core gets no signal
HEADER = "(most recent call first):\n"                             # first line of a stack
NO_LINE = "???"  # faulthandler writes it for an instruction without a line, added by CPython
# a line of a stack, which is written innermost first
LINE = re.compile(r'File "(.*)", line (\d+|\?\?\?) in .*\n')


def be_findable() -> int:
    """Register the handler; returns the file descriptor, in this process, of the file for the stack."""
    handle, name = tempfile.mkstemp(prefix="minipar-")
    os.unlink(name)
    os.set_inheritable(handle, False)
    faulthandler.register(SIGNAL, file=handle, all_threads=False)
    return handle


def find(pid: int, handle: int) -> str:
    """ "file.py:88": the innermost line of the program on that process's stack; "" if none is found.
    """
    try:
        with open(f"/proc/{pid}/fd/{handle}", "rb") as file:
            file.seek(0, os.SEEK_END)
            if not catches(pid, SIGNAL):
                return ""
            ask(pid)
            answer, now = b"", time.monotonic()
            latest, deadline = now + LONGEST, now + ANSWER
            while now < deadline:
                answer += file.read()                               # it may arrive in parts
                path, line = innermost(answer.decode(errors="replace"))
                if line == NO_LINE:                                 # repeat: a moment later it has a line
                    file.seek(0, os.SEEK_END)
                    ask(pid)
                    answer = b""
                elif line:
                    return f"{os.path.basename(path)}:{line}"
                time.sleep(0.01)
                now = time.monotonic()
                if has(pid, "SigPnd", SIGNAL):
                    deadline = min(now + ANSWER, latest)
    except OSError:
        pass
    return ""


def innermost(answer: str) -> tuple[str, str]:
    """Path and line of the program's innermost frame; ("", "") if it is not there (yet).

    Lines before the first header belong to the answer to another rank, whose beginning is missing.
    """
    lines = LINE.findall(answer.partition(HEADER)[2])
    return next((entry for entry in lines if of_the_program(entry[0])), ("", ""))


def ask(pid: int) -> None:
    """Send the signal to the main thread of a process. If the C library has no `tgkill` (before glibc 2.30),
    the system chooses the thread. Raises OSError if there is no such process.
    """
    tgkill = getattr(ctypes.CDLL(None, use_errno=True), "tgkill", None)
    if tgkill is None:
        os.kill(pid, SIGNAL)
    elif tgkill(pid, pid, int(SIGNAL)):
        raise OSError(ctypes.get_errno(), "no such process")


def catches(pid: int, number: int) -> bool:
    """Whether a process has a handler for this signal."""
    return has(pid, "SigCgt", number)


def has(pid: int, mask: str, number: int) -> bool:
    """Whether a signal is in a mask of a process's main thread, from the process table (proc(5): bit 0 for
    signal 1). mask: SigCgt, signals with a handler; SigPnd, signals to this thread that wait for delivery.
    """
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        bits = next((line.split()[1] for line in file if line.startswith(f"{mask}:")), "0")
    return bool(int(bits, 16) >> (number - 1) & 1)
