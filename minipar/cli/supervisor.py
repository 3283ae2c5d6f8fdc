"""The supervisor of `minipar train --elastic`: starts the ranks, and starts them anew when one dies.

    start the job -> it ends with 0                 -> done
                  -> it ends with 2                 -> a mistake of the user's, which the job has named
                  -> a rank ends or is stopped      -> end the job; fewer ranks; the newest state; again
                  -> `minipar elastic add RUN 1`    -> the ranks save and end; more ranks; again
                  -> Ctrl-C, SIGTERM                -> the ranks save and end; so does the supervisor

The ranks leave their newest state in memory that belongs to the supervisor (training/supervised.py), so it
survives them. All ranks must run on this host. A job that ends because of a death costs one rank, also if
several died at once: the launcher ends the others at the same moment, so the first cannot be told apart.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from minipar.checkpoint.atomic import replacing
from minipar.checkpoint.folder import Checkpoints
from minipar.cli.interruption import Interruption
from minipar.config import Layout
from minipar.console import tell
from minipar.errors import CheckpointError, ConfigError
from minipar.launcher.launch import find_launcher, launch_command, launcher_folders, rank_environment
from minipar.training.elastic import choose_layout
from minipar.training.supervised import REPLICAS, REQUEST, locked
from minipar.untrusted.files import KIB, read_bytes
from minipar.untrusted.plain import parse_json

POLL, GRACE, LAST_WORDS = 0.02, 20.0, 3.0                           # seconds
STOPPED = 2.0                                                       # seconds; then a stopped rank is dead
MOST_STARTS = 3                                                     # in a row, without a new state
STATE = "supervisor.json"                                           # in the run's folder, meanwhile


@dataclass
class Supervisor:
    """words: the user's command line. run: the run's folder. allowed: the layouts. ranks: how many there are
    now.
    """

    words: Sequence[str]
    run: Path
    allowed: Sequence[Layout]
    ranks: int
    every: int
    resume: bool
    last: int = -1                                                  # the step of the newest state so far
    starts: int = 0                                                 # in a row, without a new state
    _stopped_since: dict[int, float] = field(default_factory=dict)

    def supervise(self) -> int:
        """Returns the exit status of the training.

        Raises LayoutError if too few ranks are left; CheckpointError if job after job ends without a new
        state; ConfigError without a launcher.
        """
        with Interruption() as interruption, _memory() as memory, locked(memory):
            while True:
                self._take_replica(memory)
                layout = choose_layout(self.allowed, self.ranks)
                status = self._life(memory, layout, interruption)
                if status in (0, 2) or interruption.number:
                    return 128 + interruption.number if interruption.number else status
                self._after(memory)

    def _after(self, memory: Path) -> None:
        """Decide how many ranks there are for the next job."""
        requested = _request(memory)
        if requested is not None:
            tell(f"minipar train: {self.ranks} ranks become {requested}, as asked")
            self.ranks, self.starts = requested, 0
            return
        newest = max(_last_step(memory / REPLICAS), _last_step(self.run / "checkpoints"))
        self.starts = self.starts + 1 if newest <= self.last else 0
        self.last = max(self.last, newest)
        if self.starts == MOST_STARTS:
            raise CheckpointError(f"{MOST_STARTS} jobs in a row ended before a new state; the lines above "
                                  f"say why; go on with: minipar train --resume {self.run}")
        self.ranks -= 1
        tell(f"minipar train: 1 of {self.ranks + 1} ranks ended; {self.ranks} go on from step "
             f"{max(newest, 0)}")

    def _take_replica(self, memory: Path) -> None:
        """Copy the newest replica to the run's checkpoints, if it is newer than those."""
        step = _last_step(memory / REPLICAS)
        if step > _last_step(self.run / "checkpoints"):
            source = Checkpoints(memory / REPLICAS).path(step)
            (self.run / "checkpoints").mkdir(parents=True, exist_ok=True)
            with replacing(Checkpoints(self.run / "checkpoints").path(step)) as file:
                file.write(source.read_bytes())
        self.resume = self.resume or _last_step(self.run / "checkpoints") >= 0

    def _life(self, memory: Path, layout: Layout, interruption: Interruption) -> int:
        """One job, until it has ended; returns its exit status, not 0 after a death."""
        for leftover in [*memory.glob("rank-*.pid"), memory / REQUEST]:
            leftover.unlink(missing_ok=True)
        job = subprocess.Popen(self._command(memory, layout), env=rank_environment(os.environ),
                               start_new_session=True, stdin=subprocess.DEVNULL)
        self._note(memory, layout)
        asked, dead = False, False
        try:
            while job.poll() is None:
                pids = _pids(memory)
                dead = any(map(self._is_dead, pids))
                if dead:
                    break
                if not asked and (interruption.number or _request(memory) is not None):
                    asked = True
                    _signal(pids, signal.SIGUSR1)                   # every rank saves and ends
                time.sleep(POLL)
            # After a death, the other ranks only say what they saw; the state is in memory.
            deadline = time.monotonic() + (LAST_WORDS if dead else GRACE)
            while job.poll() is None and time.monotonic() < deadline:
                time.sleep(POLL)
        finally:
            _signal(_pids(memory), signal.SIGKILL)
            if job.poll() is None:
                os.killpg(job.pid, signal.SIGKILL)
            status = job.wait()
            (self.run / STATE).unlink(missing_ok=True)
        return status

    def _is_dead(self, pid: int) -> bool:
        """Whether this process has ended, or was stopped for STOPPED seconds."""
        now, state = time.monotonic(), _state(pid)
        if state == "T":
            self._stopped_since.setdefault(pid, now)
        else:
            self._stopped_since.pop(pid, None)
        return state in ("", "Z") or now - self._stopped_since.get(pid, now) > STOPPED

    def _command(self, memory: Path, layout: Layout) -> list[str]:
        launcher = find_launcher(launcher_folders(os.environ))
        if launcher is None:
            raise ConfigError("no mpiexec beside this Python or on the PATH; install one: "
                              f"{sys.executable} -m pip install mpich mpi4py")
        words = [*self.words, "--supervised", str(memory), "--dp", layout.dp, "--pp", layout.pp,
                 "--tp", layout.tp, "--zero", layout.zero]
        if self.resume:
            words.append("--go-on")
        return launch_command(launcher, layout.ranks, [sys.executable, "-m", "minipar", *map(str, words)],
                              root=os.geteuid() == 0)

    def _note(self, memory: Path, layout: Layout) -> None:
        """Tell `minipar elastic` where the supervisor's memory is."""
        self.run.mkdir(parents=True, exist_ok=True)
        with replacing(self.run / STATE) as file:
            file.write(json.dumps({"pid": os.getpid(), "memory": str(memory), "ranks": self.ranks,
                                   "used": layout.ranks}).encode())


@contextmanager
def _memory() -> Iterator[Path]:
    """A folder in shared memory, or, where there is none, in the folder for temporary files."""
    shared = Path("/dev/shm")
    where = shared if shared.is_dir() and os.access(shared, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="minipar-elastic-", dir=where))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _last_step(folder: Path) -> int:
    path = Checkpoints(folder).latest()
    return -1 if path is None else int(path.stem.removeprefix("step-"))


def _pids(memory: Path) -> list[int]:
    pids = []
    for path in sorted(memory.glob("rank-*.pid")):
        text = path.read_text(encoding="ascii")
        if text.isdigit():                                          # else it is being written
            pids.append(int(text))
    return pids


def _state(pid: int) -> str:
    """The letter of a process's state, as `ps` shows it; "" if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        return text.rpartition(")")[2].split()[0]
    except OSError:
        pass
    try:
        os.kill(pid, 0)                                             # a system without /proc
    except OSError:
        return ""
    return "" if Path("/proc/self/stat").exists() else "R"


def _signal(pids: Sequence[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _request(memory: Path) -> int | None:
    """The number of ranks that `minipar elastic` asked for, if it did."""
    try:
        said = parse_json(read_bytes(memory / REQUEST, KIB, ConfigError), REQUEST, ConfigError)
        return int(said["ranks"])
    except (OSError, ConfigError, KeyError, TypeError, ValueError):
        return None
