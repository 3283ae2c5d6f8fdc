"""Elastic training continues when ranks die (their processes are killed), and gives the same result.

The global batch of training step k is the same on every layout. A state (weights, optimiser, step) can be
restored on every layout. A *replica* is a state that is kept in memory. After a death, the remaining ranks
choose a layout that fits them, and restore the newest replica. They repeat the steps after this replica:

    dp=4  step 0  1  2  3  4  rank 2 dies          replicas after steps 1 and 3
    dp=3                   4  5  6 ...             restored: the state after step 3; step 4 runs again

So every sample of every global batch counts exactly once in the final weights. The weights are bitwise equal
if only dp changes and Layout.gradients is "bitwise" (parallel/bitwise.py). Otherwise the additions have
another order, so the rounding differs.

In this module the ranks are threads, and tests plant faults that end a rank. `minipar train --elastic` does
the same with processes, see cli/supervisor.py.
"""

# dp: the axis of data parallelism

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from minipar.comm.collectives import broadcast
from minipar.comm.collectives.gather_values import one_choice
from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.comm.wrappers.faults import Fault, Faults
from minipar.config import Layout
from minipar.errors import CommError, LayoutError
from minipar.parallel.grid import Grid
from minipar.training.state import TrainingState
from minipar.training.trainer import Trainer

MakeTrainer = Callable[[Grid], Trainer]


def choose_layout(allowed: Sequence[Layout], ranks: int) -> Layout:
    """Returns the allowed layout that uses the most of the given ranks. If several layouts use equally many
    ranks, the first of these layouts is returned.

    Raises LayoutError if all allowed layouts need more ranks.

    >>> layout = choose_layout([Layout(dp=4), Layout(dp=2), Layout(tp=2)], 3)
    >>> layout.dp, layout.tp
    (2, 1)
    """
    possible = [layout for layout in allowed if layout.ranks <= ranks]
    if not possible:
        fewest = min((layout.ranks for layout in allowed), default=0)
        left = "1 rank is" if ranks == 1 else f"{ranks} ranks are"
        raise LayoutError(f"{left} left, but the smallest allowed layout needs {fewest}; allow a "
                          "smaller one with --layouts, or add ranks", item="layouts")
    return max(possible, key=lambda layout: layout.ranks)


def smaller_along_dp(layout: Layout) -> list[Layout]:
    """Returns the default list of allowed layouts: the same layout with every dp from its own dp down to 1.

    >>> [smaller.dp for smaller in smaller_along_dp(Layout(dp=3, tp=2))]
    [3, 2, 1]
    """
    return [replace(layout, dp=dp) for dp in range(layout.dp, 0, -1)]


@dataclass(frozen=True)
class Life:
    """One life of a training run lasts from a start to a death or to the end. `killed` holds the ranks that
    died.
    """

    layout: Layout
    first_step: int
    killed: tuple[int, ...] = ()


@dataclass
class ElasticTraining:
    """Trains on threads, and survives planted deaths.

    `make` builds the trainer on a grid, and `allowed` are the layouts to choose from. `ranks` is the number
    of ranks at the start. `replica_every` is the number of steps between two replicas. After `run`, `lives`
    has all lives, and `replica` is the final state.
    """

    make: MakeTrainer
    allowed: Sequence[Layout]
    ranks: int
    replica_every: int = 1
    replica: TrainingState | None = None
    lives: list[Life] = field(default_factory=list)

    def run(self, deaths: Sequence[Sequence[Fault]] = ()) -> TrainingState:
        """Train to the last step, and return the final state. `deaths[i]` are the faults planted in life i.

        Raises LayoutError if too few ranks are left. Any error except a planted death ends the training.
        """
        while True:
            layout = choose_layout(self.allowed, self.ranks)
            planted = deaths[len(self.lives)] if len(self.lives) < len(deaths) else ()
            first, killed = self._steps_of_replica(), list[int]()
            try:
                run(layout.ranks, self._live, layout, planted, killed)
            except CommError:
                if not killed:
                    raise
            self.lives.append(Life(layout, first, tuple(sorted(killed))))
            if not killed:
                assert self.replica is not None
                return self.replica
            self.ranks -= len(killed)

    def _live(self, comm: Communicator, layout: Layout, planted: Sequence[Fault], killed: list[int]) -> None:
        """Runs one life on one rank. A planted death adds the rank to `killed`."""
        try:
            trainer = self.make(Grid(Faults(comm, *planted), layout))
            if self.replica is not None:
                trainer.restore(*self.replica, "the replica")
            while trainer.steps_done < trainer.config.steps:
                trainer.step()
                last = trainer.steps_done == trainer.config.steps
                if last or trainer.steps_done % self.replica_every == 0:
                    self.keep(comm, trainer.state())
        except CommError as error:
            if "killed" in error.facts:
                killed.append(comm.rank)
            raise

    def keep(self, comm: Communicator, state: TrainingState) -> None:
        """Store the new replica on rank 0 in place of the old one, with a single assignment. A death before
        the assignment leaves the old replica, and a death after it leaves the new replica.
        """
        if comm.rank == 0:
            self.replica = state

    def _steps_of_replica(self) -> int:
        return 0 if self.replica is None else int(self.replica[1]["done"])


def change_layout(trainer: Trainer, layout: Layout, make: MakeTrainer) -> Trainer:
    """Returns a trainer with the same state on another layout of the same ranks, without a file. All ranks
    call this function.

    Rank 0 gathers the whole arrays and broadcasts them. Each rank keeps its shards. Raises LayoutError if the
    layout has another number of ranks.
    """
    world = trainer.grid.world
    if layout.ranks != world.size:
        raise LayoutError(f"the new layout needs {layout.ranks} ranks; there are {world.size}", item="layout")
    arrays, meta = trainer.state()
    changed = make(Grid(world, layout))
    changed.restore(broadcast_arrays(world, arrays), one_choice(world, meta, "metadata of the state"),
                    "the state in memory")
    return changed


def broadcast_arrays(world: Communicator, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the arrays of rank 0 on every rank. All ranks call this function, but only the arrays of rank 0
    are used.
    """
    described = [[name, list(array.shape), array.dtype.str] for name, array in arrays.items()]
    result = {}
    for name, shape, dtype in one_choice(world, described, "names of the state"):
        own = arrays[name] if world.rank == 0 else np.empty(shape, dtype)
        result[name] = broadcast(world, np.ascontiguousarray(own), root=0, label=f"state {name}")
    return result
