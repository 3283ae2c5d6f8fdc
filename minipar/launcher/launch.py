"""Starts n ranks. It finds the launcher of the installed MPI, and passes the flags that this launcher needs.

`minipar launch` avoids three common problems of a plain `mpirun`:

* Open MPI does not run as root, and does not start more ranks than cores.
* The BLAS library of every rank starts one thread per core, so 8 ranks on 8 cores run 64 threads.
* The launcher may belong to another MPI than the library that the ranks load. Then each process is rank 0 of
  a job of 1 rank.

mpi4py chooses its MPI library when it is imported. It takes the file that the variable MPI4PY_LIBMPI names.
If this variable is not set, it takes libmpi.so in the lib folder of this Python's environment. If there is no
such file, it takes the library that the system's loader finds. Then mpi4py loads its extension module for
this library (MPICH or Open MPI). A launcher in this Python's environment belongs to the same MPI as the
library there. So it is preferred to a launcher on the PATH.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from minipar.comm.deadlock.meeting import descendants, is_ending
from minipar.comm.deadlock.mpi_memory import free_memory, orphaned_memory
from minipar.comm.held_signals import child_process
from minipar.errors import ConfigError, shown

BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
MOST_RANKS = 1 << 14  # a larger number is a mistake: the launcher would start that many processes
GRACE = 5.0  # seconds between SIGTERM and SIGKILL
ENDING = 2.0  # seconds in which the ranks of an ended launcher end
# The launcher's output for --version contains one of these words, which gives its kind. The launcher of MPICH
# is called Hydra. Intel MPI also uses Hydra, with the same flags.
_KINDS = {"HYDRA": "MPICH", "Intel(R) MPI": "MPICH", "Open MPI": "Open MPI", "OpenRTE": "Open MPI",
          "prterun": "Open MPI"}


@dataclass(frozen=True)
class Launcher:
    """A program that starts ranks. kind: "MPICH" (also for Intel MPI, whose flags are the same), "Open MPI",
    or "unknown".
    """

    path: str
    kind: str


def launcher_folders(environ: Mapping[str, str]) -> str:
    """Returns the folders to search for a launcher, in the form of a PATH. This Python's scripts folder comes
    first, since mpi4py also searches this Python's environment first.
    """
    return os.pathsep.join([sysconfig.get_path("scripts"), environ.get("PATH", os.defpath)])


def find_launcher(folders: str) -> Launcher | None:
    """Returns the first mpiexec or mpirun in `folders` (a PATH); None if there is none. The output of its
    option --version contains its kind.
    """
    path = shutil.which("mpiexec", path=folders) or shutil.which("mpirun", path=folders)
    if path is None:
        return None
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, timeout=30,
                                stdin=subprocess.DEVNULL, encoding="utf-8", errors="backslashreplace")
    except (OSError, subprocess.TimeoutExpired):
        return Launcher(path, "unknown")
    said = answer.stdout + answer.stderr
    return Launcher(path, next((kind for word, kind in _KINDS.items() if word in said), "unknown"))


def launch_command(launcher: Launcher, ranks: int, command: Sequence[str], *,
                   root: bool, hostfile: str | None = None) -> list[str]:
    """Returns the command line that starts `command` on `ranks` ranks, as an argument list.

    root: whether the user is root. Open MPI needs a flag for this. hostfile: a file in the format of the
    launcher (launcher/HOSTS.md). Raises ConfigError for a launcher of unknown kind.
    """
    if launcher.kind == "MPICH":  # Hydra allows any number of ranks, and passes all variables to them
        flags = ["-f", hostfile] if hostfile else []
    elif launcher.kind == "Open MPI":
        # The older flag --oversubscribe would put all ranks on the first host.
        flags = ["--map-by", "slot:OVERSUBSCRIBE", *(["--allow-run-as-root"] if root else [])]
        flags += ["--hostfile", hostfile] if hostfile else []
        for name in BLAS_THREADS:  # Open MPI passes only these variables to other hosts
            flags += ["-x", name]
    else:
        raise ConfigError(f"{launcher.path} is neither MPICH's nor Open MPI's launcher; start the ranks with "
                          f"it yourself, or put another one beside this Python: {sys.executable} -m pip "
                          "install mpich")
    return [launcher.path, "-n", str(ranks), *flags, *command]


def rank_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment variables of the ranks. BLAS uses one thread per rank unless the user has
    chosen a number. This Python's scripts folder comes first on the PATH.
    """
    return {**dict.fromkeys(BLAS_THREADS, "1"), **environ, "PATH": launcher_folders(environ)}


def launch(ranks: int, command: Sequence[str], environ: Mapping[str, str],
           hostfile: str | None = None) -> int:
    """Run `command` on `ranks` ranks and return the exit status of the job. After Ctrl-C, wait until all
    ranks have ended and return 130.

    If the command is a Python file, this Python runs the file. Raises ConfigError if the command or a
    launcher does not exist.
    """
    if ranks < 1:
        raise ConfigError(f"cannot launch {shown(ranks)} ranks; -n takes 1 or more", item="ranks")
    if ranks > MOST_RANKS:
        raise ConfigError(f"cannot launch {shown(ranks)} ranks; at most {MOST_RANKS:,}", item="ranks")
    if not command:
        raise ConfigError("nothing to launch; give a command: minipar launch -n 4 python program.py")
    for file in (hostfile, command[0] if command[0].endswith(".py") else None):
        if file is not None and not Path(file).is_file():
            raise ConfigError(f"cannot launch: there is no file {file}")
    inherited = rank_environment(environ)
    words = [sys.executable, *command] if command[0].endswith(".py") else list(command)
    if shutil.which(words[0], path=inherited["PATH"]) is None:
        if Path(words[0]).is_file():
            raise ConfigError(f"cannot launch {words[0]}: it is not executable; put its interpreter before "
                              "it, or chmod +x it")
        raise ConfigError(f"cannot launch {words[0]}: there is no such command in this environment or on the "
                          "PATH")
    launcher = find_launcher(inherited["PATH"])
    if launcher is None:
        raise ConfigError("no mpiexec beside this Python or on the PATH; install one: "
                          f"{sys.executable} -m pip install mpich mpi4py")
    return _run(launch_command(launcher, ranks, words, root=os.geteuid() == 0, hostfile=hostfile), inherited)


def _run(line: list[str], environ: Mapping[str, str]) -> int:
    """Run the launcher and wait for it. On Ctrl-C, SIGTERM, SIGHUP or SIGQUIT, end the launcher and every
    rank.

    The launcher runs in its own session, so only this process receives Ctrl-C. Otherwise MPICH's launcher
    would pass the first Ctrl-C to the ranks, and a rank that waits inside the MPI library would not react.
    SIGTERM ends the job with MPICH and with Open MPI. SIGUSR1 and SIGUSR2 are passed to the launcher, which
    passes them to every rank.
    """
    # the launcher cannot read this terminal, since it runs in another session
    keyboard = sys.stdin is not None and sys.stdin.isatty()
    end = job_ender()
    with child_process(line, end, env=environ, start_new_session=True,
                       stdin=subprocess.DEVNULL if keyboard else None) as job:
        try:
            return _awaited(job, end)
        except _Interrupted as caught:
            return 128 + int(caught.args[0])


def _awaited(job: subprocess.Popen[Any], end: Callable[[subprocess.Popen[Any]], object]) -> int:
    """Wait for the launcher and return its exit status. After a signal, end the job and raise _Interrupted.
    """
    def interrupt(number: int, frame: FrameType | None) -> None:
        raise _Interrupted(number)

    before: dict[int, Any] = {}
    try:
        for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            before[ending] = signal.signal(ending, interrupt)
        for passed_on in (signal.SIGUSR1, signal.SIGUSR2):
            before[passed_on] = signal.signal(passed_on, lambda number, frame: job.send_signal(number))
        status = job.wait()
        return status if status >= 0 else 128 - status
    except _Interrupted:
        for number in before:  # a second Ctrl-C must not interrupt the clean-up
            signal.signal(number, signal.SIG_IGN)
        end(job)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_launcher(job: subprocess.Popen[Any]) -> None:
    """End a launcher that runs in its own session, and its ranks. After SIGTERM, the launchers of MPICH and
    Open MPI end the ranks. A launcher that has not ended after GRACE seconds is killed. The
    pipes to this process are closed.
    """
    job.terminate()
    try:
        job.wait(GRACE)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(job.pid, signal.SIGKILL)
        job.wait()
    for pipe in (job.stdout, job.stderr):
        if pipe is not None:
            pipe.close()


def job_ender() -> Callable[[subprocess.Popen[Any]], None]:
    """Returns a function that ends a job which starts after this call: it ends the launcher and the ranks,
    and removes the shared memory that the MPI library leaves behind.
    """
    began = time.time()

    def end(job: subprocess.Popen[Any]) -> None:
        ranks = descendants(job.pid)
        end_launcher(job)
        limit = time.monotonic() + ENDING
        while any(not is_ending(pid) for pid in ranks) and time.monotonic() < limit:
            time.sleep(0.01)
        free_memory(orphaned_memory(began))

    return end


class _Interrupted(Exception):
    """Raised when this process receives a signal. The argument is the number of the signal."""
