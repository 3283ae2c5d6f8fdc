"""Tests whether the loss curve shows a bug. It compares 50 steps of a mutant (planted bug) with 50 steps of
the correct program.

The end of a curve is the mean of its last 10 losses. The spread is the largest difference between the ends of
correct programs with different seeds. A curve shows a bug if its end differs from the correct end by more
than the spread, or if the training stops. In practice there is no correct curve to compare with. So a loss
curve shows even fewer bugs in practice than in this test.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.errors import MiniparError
from minipar.parallel.grid import Grid
from minipar.proof.case import Case, text_of
from minipar.proof.mutants import Mutant
from minipar.training.trainer import Trainer

# STEPS: the number of losses of a curve. LAST: the number of losses whose mean is the curve's end. SEEDS: the
# number of curves of a correct program.
STEPS, LAST, SEEDS = 50, 10, 4
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "AdamW": dict(optimizer="adamw", lr=1e-2, clip=1.0, weight_decay=0.1),
    "SGD": dict(optimizer="sgd", lr=0.3, clip=0.0, weight_decay=0.0),
}


@dataclass(frozen=True)
class Curve:
    """The comparison of a mutant's curve with correct curves.

    off: the end of the mutant's curve minus the end of the correct curve, in nats. None if the training
    stopped. spread: the largest difference between the ends of correct curves with different seeds, in nats.
    """

    off: float | None
    spread: float

    @property
    def shows(self) -> bool:
        return self.off is None or not abs(self.off) <= self.spread          # NaN shows a bug, too


@dataclass
class Curves:
    """Compares the curves of mutants. It trains each correct program only once, and keeps the ends of its
    curves.
    """

    _right: dict[tuple[Case, str], list[float]] = field(default_factory=dict)

    def of(self, mutant: Mutant, optimizer: str) -> Curve:
        """Trains the mutant and compares its curve with the correct curves. optimizer: a key of OPTIMIZERS.
        No other mutant may be planted at this time.
        """
        ends = self._ends(mutant.case, optimizer)
        spread = max(ends) - min(ends)
        try:
            with mutant.planted():
                return Curve(end(mutant.case, optimizer) - ends[0], spread)
        except MiniparError:
            return Curve(None, spread)

    def _ends(self, case: Case, optimizer: str) -> list[float]:
        """Returns the ends of the curves of the correct program, one per seed.

        The correct program runs on one process. `verify` has shown that every layout gives the same curve.
        """
        key = (case.single_process(), optimizer)
        if key not in self._right:
            single = case.single_process()
            self._right[key] = [end(replace(single, train=replace(single.train, seed=seed)), optimizer)
                                for seed in range(SEEDS)]
        return self._right[key]


def end(case: Case, optimizer: str) -> float:
    """Trains a case and returns the end of its loss curve, in nats. The ranks are threads. If a rank raises
    an error, this function raises it, too.
    """
    config = replace(case.train, steps=STEPS, schedule="constant", warm_up=0, **OPTIMIZERS[optimizer])

    def train(world: Communicator) -> list[float]:
        trainer = Trainer(case.model, config, *text_of(case.model.vocabulary), Grid(world, case.layout))
        return [trainer.step().loss for _ in range(STEPS)]

    return math.fsum(run(case.layout.ranks, train)[0][-LAST:]) / LAST
