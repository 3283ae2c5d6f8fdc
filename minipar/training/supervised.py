"""A rank's side of elastic training: it leaves replicas in the supervisor's memory, and notices its end.

The supervisor (cli/supervisor.py) owns a folder in shared memory:

    supervisor.lock     locked while the supervisor lives, even if it is killed
    rank-3.pid          the process of rank 3, locked while it lives
    ended.4321          a rank that a signal has ended, see launcher/keeper.py
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
FRESH = 60.0                    # seconds; a younger folder may be of a supervisor that is about to lock it


class Supervised:
    """One rank of an elastic training. memory: the supervisor's folder; every: steps between two replicas."""

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
        """Replace the replica if it is due. All ranks call it."""
        if trainer.steps_done % self.every == 0:
            arrays, meta = trainer.state()
            if self.rank == 0:
                self.replicas.save(trainer.steps_done, arrays, meta)

    def leave(self) -> None:
        """This rank has done its last step: from now on, its end is no death."""
        with refusals_named(self.memory):
            self._pid.unlink(missing_ok=True)
            self._file.close()

    def supervisor_ended(self) -> bool:
        """Whether the supervisor was killed."""
        return not is_supervised(self.memory)

    def clear(self) -> None:
        """Free the memory of a supervisor that can no longer do it."""
        if self.rank == 0:
            shutil.rmtree(self.memory, ignore_errors=True)


@contextmanager
def supervisors_memory() -> Iterator[Path]:
    """A new folder in shared memory, locked during the block; in the folder for temporary files, if there is
    no shared memory. It first removes the folders of supervisors that were killed together with their ranks.
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
    """Whether the supervisor that owns this folder lives: whether its lock is held."""
    return _is_locked(memory / LOCK)


def _is_left_over(memory: Path) -> bool:
    """Whether the supervisor of this folder and all its ranks have ended."""
    try:
        is_old = time.time() - (memory / LOCK).stat().st_mtime > FRESH
        return is_old and not any(map(_is_locked, [memory / LOCK, *memory.glob("rank-*.pid")]))
    except OSError:                                                 # of another user, or it is being removed
        return False


def _is_locked(path: Path) -> bool:
    """Whether a process holds this lock; False if the file does not exist."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
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
