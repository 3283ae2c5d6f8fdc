"""Start n ranks: find the launcher of the MPI at hand and give it the flags it needs.

`mpirun` has a trap for each occasion. Open MPI refuses to run as root and refuses more ranks than cores;
every rank's BLAS starts one thread per core, so that 8 ranks on 8 cores run 64 threads; a launcher of one MPI
starts ranks that load another's library, and each of them believes that it is alone. `minipar launch` is the
one command that avoids them all.

mpi4py's wheel chooses its MPI library when it is imported: the file in MPI4PY_LIBMPI if that is set, else
libmpi.so in the lib folder of this Python's environment, else wherever the system's loader finds one. It then
loads its extension module for that library's ABI, MPICH's or Open MPI's. So the launcher beside this Python
comes before the one on the PATH: it fits.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from minipar.errors import ConfigError

BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
GRACE = 5.0  # seconds between asking ranks to end and making them
# What a launcher prints when asked for its version -> whose it is. Intel MPI's launcher is Hydra too, with
# the same flags.
_KINDS = {"HYDRA": "MPICH", "Intel(R) MPI": "MPICH", "Open MPI": "Open MPI", "OpenRTE": "Open MPI",
          "prterun": "Open MPI"}


@dataclass(frozen=True)
class Launcher:
    """A program that starts ranks. kind: "MPICH" (Hydra, whose flags Intel MPI shares), "Open MPI", or
    "unknown".
    """

    path: str
    kind: str


def launcher_folders(environ: Mapping[str, str]) -> str:
    """Where to look, as a PATH: beside this Python first, as mpi4py looks for the library beside it first."""
    return os.pathsep.join([sysconfig.get_path("scripts"), environ.get("PATH", os.defpath)])


def find_launcher(folders: str) -> Launcher | None:
    """The first mpiexec or mpirun in `folders` (a PATH), asked for its version; None where there is none."""
    path = shutil.which("mpiexec", path=folders) or shutil.which("mpirun", path=folders)
    if path is None:
        return None
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30,
                                stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return Launcher(path, "unknown")
    said = answer.stdout + answer.stderr
    return Launcher(path, next((kind for word, kind in _KINDS.items() if word in said), "unknown"))


def launch_command(launcher: Launcher, ranks: int, command: Sequence[str], *,
                   root: bool, hostfile: str | None = None) -> list[str]:
    """The whole line that starts `command` on `ranks` ranks, as an argument list.

    root: whether the user is root, whom Open MPI refuses without a flag. hostfile: in the launcher's own
    format (launcher/HOSTS.md). Raises ConfigError for a launcher whose flags are not known here.
    """
    if launcher.kind == "MPICH":  # takes any number of ranks and passes the environment on
        flags = ["-f", hostfile] if hostfile else []
    elif launcher.kind == "Open MPI":
        # The older --oversubscribe puts all ranks on the first host.
        flags = ["--map-by", "slot:OVERSUBSCRIBE", *(["--allow-run-as-root"] if root else [])]
        flags += ["--hostfile", hostfile] if hostfile else []
        for name in BLAS_THREADS:  # Open MPI takes to other hosts only what it is told to
            flags += ["-x", name]
    else:
        raise ConfigError(f"{launcher.path} is neither MPICH's nor Open MPI's launcher; start the ranks with "
                          f"it yourself, or put another one beside this Python: {sys.executable} -m pip "
                          "install mpich")
    return [launcher.path, "-n", str(ranks), *flags, *command]


def rank_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What ranks inherit: one BLAS thread each unless the user chose, and this Python's commands first on the
    PATH.
    """
    return {**dict.fromkeys(BLAS_THREADS, "1"), **environ, "PATH": launcher_folders(environ)}


def launch(ranks: int, command: Sequence[str], environ: Mapping[str, str], hostfile: str
           | None = None) -> int:
    """Run `command` on `ranks` ranks and return the job's exit status; 130 after Ctrl-C, once all ranks have
    ended.

    A command that is a Python file is run by this Python. Raises ConfigError for a command or a launcher that
    is not there.
    """
    if ranks < 1:
        raise ConfigError(f"cannot launch {ranks} ranks; -n takes 1 or more")
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
    """Wait for the launcher; on Ctrl-C (or SIGTERM, SIGHUP) end it and every rank.

    The launcher gets a session of its own, so that Ctrl-C reaches only us. Left to itself, Hydra passes the
    first Ctrl-C on to the ranks, and a rank that waits inside the MPI library never notices. SIGTERM ends the
    job under both MPIs. SIGUSR1 and SIGUSR2 are passed on: both launchers hand them to every rank.
    """
    keyboard = sys.stdin is not None and sys.stdin.isatty()  # another session may not read this terminal
    job = subprocess.Popen(line, env=environ, start_new_session=True, stdin=subprocess.DEVNULL if keyboard
                           else None)

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise _Interrupted(number)

    before = {number: signal.signal(number, interrupt)
              for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    before |= {number: signal.signal(number, lambda number, frame: job.send_signal(number))
               for number in (signal.SIGUSR1, signal.SIGUSR2)}
    try:
        status = job.wait()
        return status if status >= 0 else 128 - status
    except _Interrupted as caught:
        for number in before:  # a second Ctrl-C must not stop the clearing up
            signal.signal(number, signal.SIG_IGN)
        job.terminate()
        try:
            job.wait(GRACE)
        except subprocess.TimeoutExpired:
            os.killpg(job.pid, signal.SIGKILL)
            job.wait()
        return 128 + int(caught.args[0])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Interrupted(Exception):
    """A signal asked us to end; its number is the argument."""
