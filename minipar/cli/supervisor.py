"""The supervisor of `minipar train --elastic` starts the ranks, and starts them again when some of them die.

    start the job -> it ends with 0                 -> done
                  -> it ends with 2                 -> a user's mistake, which the job has reported
                  -> ranks die or are stopped       -> end the job; restart fewer ranks from the newest state
                  -> `minipar elastic add RUN 1`    -> the ranks save and end; restart with more ranks
                  -> Ctrl-C, SIGTERM                -> the ranks save and end; the supervisor ends

The ranks write their newest state to memory that belongs to the supervisor (training/supervised.py). So the
state remains when ranks die. All ranks must run on this host. supervised_job.py counts the ranks that died.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import SIGUSR1

from minipar.checkpoint.atomic import refusals_named, replacing
from minipar.checkpoint.folder import Checkpoints
from minipar.cli.elastic_requests import STATE, require_unsupervised, take_request
from minipar.cli.interruption import Interruption
from minipar.cli.supervised_job import Job, kept
from minipar.comm.children import isolated
from minipar.config import Layout
from minipar.console import tell
from minipar.errors import CheckpointError, ConfigError, LayoutError
from minipar.launcher.launch import find_launcher, launch_command, launcher_folders, rank_environment
from minipar.training.elastic import choose_layout
from minipar.training.supervised import REPLICAS, REQUEST, supervisors_memory

MOST_ERRORS = 3  # largest number of jobs in a row that end with an error and without a new state


@dataclass
class Supervisor:
    """The supervisor of one training. `words` is the user's command line, `run` the run's folder. `allowed`
    are the allowed layouts, and `ranks` is the present number of ranks.
    """

    words: Sequence[str]
    run: Path
    allowed: Sequence[Layout]
    ranks: int
    resume: bool
    last: int = -1                                                  # step number of the newest state so far
    errors: int = 0  # jobs in a row that have ended with an error, without a new state

    def supervise(self) -> int:
        """Run jobs until the training ends; returns its exit status.

        Raises LayoutError if too few ranks are left, and ConfigError if there is no launcher. Raises
        CheckpointError if the run already has a supervisor, or if MOST_ERRORS jobs in a row end with an error
        and without a new state.
        """
        require_unsupervised(self.run)
        with Interruption() as interruption, supervisors_memory() as memory:
            try:
                while True:
                    self._take_replica(memory)
                    layout = self._layout()
                    self._note(memory, layout)
                    job = Job(memory, self._command(memory, layout), rank_environment(os.environ))
                    status, deaths = job.watch(lambda: interruption.number
                                               or (SIGUSR1 if (memory / REQUEST).exists() else 0))
                    if interruption.number:
                        return 128 + interruption.number
                    if status == 0 or (status == 2 and not deaths):
                        return status
                    self._after(memory, deaths)
            finally:
                with refusals_named(self.run):
                    (self.run / STATE).unlink(missing_ok=True)

    def _layout(self) -> Layout:
        try:
            return choose_layout(self.allowed, self.ranks)
        except LayoutError as error:
            if not self.resume:
                raise
            raise LayoutError(f"{error}; the state is saved, go on with: minipar train --resume {self.run}",
                              **error.facts) from None

    def _after(self, memory: Path, deaths: int) -> None:
        """Set the number of ranks for the next job. deaths: the number of ranks of the last job that died."""
        change = take_request(memory)
        dead = max(deaths, 1) if change is None else deaths
        newest = max(_last_step(memory / REPLICAS), _last_step(self.run / "checkpoints"))
        if dead:
            self.errors = self.errors + 1 if newest <= self.last and not deaths else 0
            self.last = max(self.last, newest)
            if self.errors == MOST_ERRORS:
                raise CheckpointError(f"{MOST_ERRORS} jobs in a row ended with an error before a new state; "
                                      "the lines above give the reason; go on with: minipar train --resume "
                                      f"{self.run}")
            left = max(self.ranks - dead, 0)
            tell(f"minipar train: {dead} of {self.ranks} ranks ended; {left} go on from step "
                 f"{max(newest, 0)}")
            self.ranks = left
        if change is not None:
            changed = max(self.ranks + change, 0)
            tell(f"minipar train: {self.ranks} ranks become {changed}, as asked")
            self.ranks, self.errors = changed, 0

    def _take_replica(self, memory: Path) -> None:
        """Copy the newest state in memory to the run's checkpoints, if it is newer than the last checkpoint.
        """
        step = _last_step(memory / REPLICAS)
        if step > _last_step(self.run / "checkpoints"):
            source = Checkpoints(memory / REPLICAS).path(step)
            (self.run / "checkpoints").mkdir(parents=True, exist_ok=True)
            with replacing(Checkpoints(self.run / "checkpoints").path(step)) as file:
                file.write(source.read_bytes())
        self.resume = self.resume or _last_step(self.run / "checkpoints") >= 0

    def _command(self, memory: Path, layout: Layout) -> list[str]:
        launcher = find_launcher(launcher_folders(os.environ))
        if launcher is None:
            raise ConfigError("no mpiexec beside this Python or on the PATH; install one: "
                              f"{sys.executable} -m pip install mpich mpi4py")
        words = [*self.words, "--supervised", str(memory), "--dp", layout.dp, "--pp", layout.pp,
                 "--tp", layout.tp, "--zero", layout.zero]
        if self.resume:
            words.append("--go-on")
        command = kept(memory, isolated("minipar", *map(str, words)))
        return launch_command(launcher, layout.ranks, command, root=os.geteuid() == 0)

    def _note(self, memory: Path, layout: Layout) -> None:
        """Write supervisor.json for `minipar elastic` (see elastic_requests.py).
        """
        sizes = [one.ranks for one in self.allowed]
        with refusals_named(self.run):
            self.run.mkdir(parents=True, exist_ok=True)
        with replacing(self.run / STATE) as file:
            file.write(json.dumps({"memory": str(memory), "ranks": self.ranks, "used": layout.ranks,
                                   "fewest": min(sizes), "most": max(sizes)}).encode())


def _last_step(folder: Path) -> int:
    path = Checkpoints(folder).latest()
    return -1 if path is None else int(path.stem.removeprefix("step-"))
