"""Elastic training: if ranks die, the training continues with the same result.

Nothing of a training depends on the number of ranks. The global batch of step k is the same on every layout,
and a state (weights, optimiser, step) can be restored on every layout. So after a death the remaining ranks
take the newest *replica*, a state kept in memory, on a layout that fits them. They repeat the steps since:

    dp=4  step 0  1  2  3  4  rank 2 dies          replicas after steps 1 and 3
    dp=3                   4  5  6 ...             restored: the state after step 3; step 4 runs again

So every sample of every global batch counts exactly once in the final weights. They are the same in every bit
if only dp changes and the gradients are summed bitwise; otherwise the additions have another order.

Here the ranks are threads, and deaths are planted. `minipar train --elastic` does the same with processes:
cli/supervisor.py.
"""

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
    """The layout for this many ranks: the allowed one that uses most of them; of equals, the first.

    Raises LayoutError if all need more ranks.

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
    """The default rule: the same layout with every dp from its own down to 1.

    >>> [smaller.dp for smaller in smaller_along_dp(Layout(dp=3, tp=2))]
    [3, 2, 1]
    """
    return [replace(layout, dp=dp) for dp in range(layout.dp, 0, -1)]


@dataclass(frozen=True)
class Life:
    """One life of a training, from a start to a death or to the end. killed: the ranks that died."""

    layout: Layout
    first_step: int
    killed: tuple[int, ...] = ()


@dataclass
class ElasticTraining:
    """A training on threads that survives planted deaths.

    make: builds the trainer on a grid; allowed: the layouts to choose from; ranks: how many there are at the
    start; replica_every: steps between two replicas. After `run`: `lives`, and `replica`, the final state.
    """

    make: MakeTrainer
    allowed: Sequence[Layout]
    ranks: int
    replica_every: int = 1
    replica: TrainingState | None = None
    lives: list[Life] = field(default_factory=list)

    def run(self, deaths: Sequence[Sequence[Fault]] = ()) -> TrainingState:
        """Train to the last step, and return the final state. deaths[i]: the faults planted in life i.

        Raises LayoutError if too few ranks are left. Another error than a planted death ends the training.
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
        """One rank's life. A planted death adds the rank to `killed`."""
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
        """Replace the replica, on rank 0. It is one assignment: a death before it leaves the old replica, a
        death after it the new one.
        """
        if comm.rank == 0:
            self.replica = state

    def _steps_of_replica(self) -> int:
        return 0 if self.replica is None else int(self.replica[1]["done"])


def change_layout(trainer: Trainer, layout: Layout, make: MakeTrainer) -> Trainer:
    """A trainer on another layout of the same ranks, in the same state, without a file. All ranks call it.

    Rank 0 gathers the whole arrays and broadcasts them; each rank keeps its shards. Raises LayoutError if the
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
    """Rank 0's arrays on every rank. All ranks call it; the arrays of the others are not used."""
    described = [[name, list(array.shape), array.dtype.str] for name, array in arrays.items()]
    result = {}
    for name, shape, dtype in one_choice(world, described, "names of the state"):
        own = arrays[name] if world.rank == 0 else np.empty(shape, dtype)
        result[name] = broadcast(world, np.ascontiguousarray(own), root=0, label=f"state {name}")
    return result
