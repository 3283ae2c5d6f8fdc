"""A rank's side of elastic training: it leaves replicas in the supervisor's memory, and notices its end.

The supervisor (cli/supervisor.py) owns a folder in shared memory:

    supervisor.lock     locked while the supervisor lives, even if it is killed
    rank-3.pid          the process of rank 3
    replicas/           the newest state of the training, as checkpoints
    request.json        the number of ranks that `minipar elastic` asks for
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minipar.checkpoint.atomic import refusals_named
from minipar.checkpoint.folder import Checkpoints
from minipar.training.trainer import Trainer

LOCK, REPLICAS, REQUEST = "supervisor.lock", "replicas", "request.json"


class Supervised:
    """One rank of an elastic training. memory: the supervisor's folder; every: steps between two replicas."""

    def __init__(self, memory: Path, rank: int, every: int) -> None:
        self.memory, self.rank, self.every = memory, rank, every
        self.replicas = Checkpoints(memory / REPLICAS, keep=1)
        self._pid = memory / f"rank-{rank}.pid"
        with refusals_named(memory):
            self._pid.write_text(str(os.getpid()), encoding="ascii")

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

    def supervisor_ended(self) -> bool:
        """Whether the supervisor was killed: then its lock is free, or its folder is gone."""
        try:
            with open(self.memory / LOCK, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def clear(self) -> None:
        """Free the memory of a supervisor that can no longer do it."""
        if self.rank == 0:
            shutil.rmtree(self.memory, ignore_errors=True)


@contextmanager
def locked(memory: Path) -> Iterator[None]:
    """The supervisor's lock. It ends with the process."""
    with refusals_named(memory), open(memory / LOCK, "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
