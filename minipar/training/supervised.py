"""Runs one rank of an elastic training. The rank saves replicas in the supervisor's memory, and detects the
end of the supervisor.

The supervisor (cli/supervisor.py) owns a folder in shared memory:

    supervisor.lock     locked while the supervisor runs; a kill also unlocks the file
    rank-3.pid          the process id of rank 3, locked while the process runs
    ended.4321          marks a rank that a signal has ended, see launcher/keeper.py
    replicas/           the newest state of the training, as checkpoints
    request.json        the number of ranks that `minipar elastic` asks for
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minipar.checkpoint.atomic import refusals_named
from minipar.checkpoint.folder import Checkpoints
from minipar.training.trainer import Trainer

LOCK, REPLICAS, REQUEST = "supervisor.lock", "replicas", "request.json"
PREFIX = "minipar-elastic-"
FRESH = 60.0                    # a folder that exists for fewer seconds may not be locked yet


class Supervised:
    """Represents one rank of an elastic training. `memory` is the supervisor's folder, and `every` is the
    number of steps between two replicas.
    """

    def __init__(self, memory: Path, rank: int, every: int) -> None:
        self.memory, self.rank, self.every = memory, rank, every
        self.replicas = Checkpoints(memory / REPLICAS, keep=1)
        self._pid = memory / f"rank-{rank}.pid"
        with refusals_named(memory):
            self._file = open(self._pid, "w", encoding="ascii")     # noqa: SIM115
            fcntl.flock(self._file, fcntl.LOCK_EX)
            self._file.write(str(os.getpid()))
            self._file.flush()

    def after_step(self, trainer: Trainer) -> None:
        """Replace the replica every `every` steps. All ranks call this method."""
        if trainer.steps_done % self.every == 0:
            arrays, meta = trainer.state()
            if self.rank == 0:
                self.replicas.save(trainer.steps_done, arrays, meta)

    def leave(self) -> None:
        """Record that this rank has finished its last step. From now on, the end of its process does not
        count as a death.
        """
        with refusals_named(self.memory):
            self._pid.unlink(missing_ok=True)
            self._file.close()

    def supervisor_ended(self) -> bool:
        """Returns True if the supervisor was killed."""
        return not is_supervised(self.memory)

    def clear(self) -> None:
        """Free the memory of a killed supervisor."""
        if self.rank == 0:
            shutil.rmtree(self.memory, ignore_errors=True)


@contextmanager
def supervisors_memory() -> Iterator[Path]:
    """First removes the folders of supervisors that were killed together with their ranks. Then makes a new
    folder in shared memory, and locks it during the block. Without shared memory, the new folder is in the
    folder for temporary files.
    """
    shared = Path("/dev/shm")
    where = shared if shared.is_dir() and os.access(shared, os.W_OK) else Path(tempfile.gettempdir())
    for leftover in where.glob(f"{PREFIX}*"):
        if _is_left_over(leftover):
            shutil.rmtree(leftover, ignore_errors=True)
    memory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=where))
    try:
        with refusals_named(memory), open(memory / LOCK, "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield memory
    finally:
        shutil.rmtree(memory, ignore_errors=True)


def is_supervised(memory: Path) -> bool:
    """Returns True if the supervisor of this folder runs. A running supervisor holds the lock."""
    return _is_locked(memory / LOCK)


def _is_left_over(memory: Path) -> bool:
    """Returns True if the supervisor of this folder and all its ranks have ended."""
    try:
        is_old = time.time() - (memory / LOCK).stat().st_mtime > FRESH
        return is_old and not any(map(_is_locked, [memory / LOCK, *memory.glob("rank-*.pid")]))
    except OSError:                                                 # another user's file, or a removed file
        return False


def _is_locked(path: Path) -> bool:
    """Returns True if a process holds this lock. Returns False if the file does not exist, or if
    the path is invalid.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):                                   # ValueError: no path has such characters
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(handle)
    return False
