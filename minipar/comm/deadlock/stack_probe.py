"""Finds the current line of a rank that computes. A signal makes the rank's process write its stack, even
inside a long call.

On the signal, Python's faulthandler writes the stack to a file, without help from the program. The signal is
sent to the main thread, in which the program runs. A signal to the whole process could go to another thread.
This happens if the main thread has not yet handled the signal of another rank that asks at the same time.

The signal is a real-time signal that programs do not use. SIGUSR1 and SIGUSR2 stay free for the program
(Slurm sends them before the end of a job's time). A process that does not catch this signal would end. So
`find` does not send the signal to such a process.
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
ANSWER = 2.0                # longest wait for the answer, in seconds, after the signal is delivered
LONGEST = 8.0               # longest wait in all, in seconds; the process may wait for a core
HEADER = "(most recent call first):\n"                             # first line of a stack
NO_LINE = "???"  # faulthandler writes this for an instruction without a line; CPython adds such instructions
# A line of a stack. The innermost frame is written first.
LINE = re.compile(r'File "(.*)", line (\d+|\?\?\?) in .*\n')


def be_findable() -> int:
    """Register the handler. Returns the file descriptor of the file for the stack."""
    handle, name = tempfile.mkstemp(prefix="minipar-")
    os.unlink(name)
    os.set_inheritable(handle, False)
    faulthandler.register(SIGNAL, file=handle, all_threads=False)
    return handle


def find(pid: int, handle: int) -> str:
    """Returns the innermost line of the program on the stack of process `pid`, such as "file.py:88". Returns
    "" if none is found.
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
                answer += file.read()                               # the answer may arrive in parts
                path, line = innermost(answer.decode(errors="replace"))
                if line == NO_LINE:  # ask again: a moment later the program is at a line
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
    """Returns the path and the line of the program's innermost frame; ("", "") if the frame is not there
    (yet).

    Lines before the first HEADER are the end of an answer to another rank.
    """
    lines = LINE.findall(answer.partition(HEADER)[2])
    return next((entry for entry in lines if of_the_program(entry[0])), ("", ""))


def ask(pid: int) -> None:
    """Send the signal to the main thread of a process. A C library before glibc 2.30 has no `tgkill`; then
    the system chooses the thread. Raises OSError if there is no such process.
    """
    tgkill = getattr(ctypes.CDLL(None, use_errno=True), "tgkill", None)
    if tgkill is None:
        os.kill(pid, SIGNAL)
    elif tgkill(pid, pid, int(SIGNAL)):
        raise OSError(ctypes.get_errno(), "no such process")


def catches(pid: int, number: int) -> bool:
    """Returns whether a process has a handler for this signal."""
    return has(pid, "SigCgt", number)


def has(pid: int, mask: str, number: int) -> bool:
    """Returns whether a signal is in one of the signal masks of a process's main thread. A mask has one bit
    per signal, and bit 0 stands for signal 1. The masks are in /proc (proc(5)).

    mask: "SigCgt" for the signals with a handler, "SigPnd" for the signals to this thread that wait for
    delivery.
    """
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        bits = next((line.split()[1] for line in file if line.startswith(f"{mask}:")), "0")
    return bool(int(bits, 16) >> (number - 1) & 1)
