"""Writes a line to the stderr of the launcher itself.

A launcher forwards the output of its ranks. After a signal, Open MPI's launcher forwards nothing more, and a
launcher that was killed cannot. So the line about the end of the job is written to the file that is the
launcher's stderr (/proc/PID/fd/2 in proc(5)). This works on the host of the launcher.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass

from minipar.comm.deadlock.meeting import command_of, is_ending, launcher_of, parent, started
from minipar.comm.diagnostics.last_line import tell

HYDRA_PROXY = "hydra_pmi_proxy"  # MPICH's launcher, mpiexec, starts one such process per host
DAEMONS = {"prted", "orted"}  # Open MPI's launcher starts one such process per other host


@dataclass(frozen=True)
class LauncherStderr:
    """The stderr of a launcher. pid and began: the id and the start time of the launcher's process. file: an
    open file descriptor. is_parent: whether the ranks are children of the launcher, as with Open MPI.
    """

    pid: int
    began: str
    file: int
    is_parent: bool

    def has_ended(self) -> bool:
        """Returns whether the launcher has ended."""
        return is_ending(self.pid) or started(self.pid) != self.began

    def write(self, text: str) -> bool:
        """Write a line. Returns False if this fails."""
        with suppress(OSError):
            os.write(self.file, f"{text}\n".encode(errors="backslashreplace"))
            return True
        return False


def launcher_stderr(rank: int) -> LauncherStderr | None:
    """Returns the stderr of the launcher that started a rank. rank: a process id. Returns None if the
    launcher runs on another host, or if its stderr cannot be opened, as for a socket.
    """
    nearest = above = launcher_of(rank)
    if nearest is not None and command_of(nearest) == HYDRA_PROXY:
        above = launcher_of(parent(nearest))
    if above is None or command_of(above) in DAEMONS:
        return None
    with suppress(OSError):
        file = os.open(f"/proc/{above}/fd/2", os.O_WRONLY | os.O_APPEND | os.O_NOCTTY | os.O_NONBLOCK)
        return LauncherStderr(above, started(above), file, above == nearest)
    return None


def tell_of_signal(text: str) -> bool:
    """Write the line about a signal that ends this rank. It goes to the launcher's stderr with Open MPI, and
    otherwise to stderr. Returns False if this fails.
    """
    launcher = launcher_stderr(os.getpid())
    return launcher is not None and launcher.is_parent and launcher.write(text) or tell(text)
