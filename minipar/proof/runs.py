"""Runs one of the short training runs of a proof, and records its arrays. The same code runs on the layout,
and on one process for the reference.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from minipar.comm.collectives import even_counts
from minipar.comm.protocol import Communicator
from minipar.comm.wrappers.counting import Counting
from minipar.comm.wrappers.preferring import Preferring
from minipar.parallel.compressed import CompressedReducer
from minipar.parallel.grid import Grid
from minipar.parallel.tensor import region_of
from minipar.plan.amounts import SentTotals
from minipar.proof.case import SAVED, STEPS, Case, make_trainer
from minipar.proof.feedback import watch_feedback
from minipar.proof.generated import generated
from minipar.proof.overflow import overflow_in_next_step
from minipar.proof.recomputed import SecondRuns
from minipar.proof.record import Entries, RankRun, Seen, copied, numbered, of_parameters
from minipar.proof.recording import RecordedPieces, Recording, joined
from minipar.proof.saved import different_number, first_difference, saved_state, to_all_ranks
from minipar.training.state import TrainingState
from minipar.training.trainer import Trainer

OF_THE_PROOF = "whole "  # messages that only the proof sends have labels that begin with this word


def run_rank(world: Communicator, case: Case, run: str) -> RankRun:
    """Runs this rank's part of a training run, and returns its record and other data. run: a key of RUNS. All
    ranks of the case's layout call this function.
    """
    counting = Counting(world if case.algorithm == "auto"
                        else Preferring(world, {"all_reduce": case.algorithm}))
    grid = Grid(counting, case.layout)
    region = Recording(region_of(grid.tp, case.model.context, case.layout.sequence_parallel))
    ops = SecondRuns(region.watch)
    trainer = make_trainer(case, run, grid, region, ops.watch)
    found = RankRun(trainer, grid, {}, {})
    MAKE[run](case, found, region, counting)
    found.again = dict(ops.counts)
    return found


def _sgd(case: Case, run: RankRun, region: Recording, counting: Counting) -> None:
    trainer = run.trainer
    store, feedback = trainer.store, watch_feedback(trainer)
    steps, weights, gradients = [], [copied(store.weights_by_name())], []
    for number in range(STEPS):
        region.on = number == 0
        steps.append(trainer.step())
        weights.append(copied(store.weights_by_name()))
        # the optimiser does not change gradients, so they can be copied after the step
        gradients.append(copied(store.gradients_by_name()))
    counted = counting.traffic.by("group", "op", "label")
    run.sent = {(str(group), str(op), str(label)): SentTotals(tally.calls, tally.messages, tally.bytes)
                for (group, op, label), tally in counted.items() if not str(label).startswith(OF_THE_PROOF)}
    region.on = False
    run.feedback = feedback()
    run.record = {
        "initial weights": of_parameters(trainer, weights[0]),
        "forward": _activations(trainer, region.values),
        "loss": numbered("step", [steps[0].loss]),
        "backward": _activations(trainer, region.gradients),
        "gradients": of_parameters(trainer, gradients[0]),
        "norm": numbered("step", [steps[0].norm]),
        "rates": numbered("step", [step.lr for step in steps]),
        "first update": of_parameters(trainer, weights[1]),
        "later gradients": {at: seen for number, flat in enumerate(gradients[1:], 2)
                            for at, seen in of_parameters(trainer, flat, f"step {number}, ").items()},
        "later losses": numbered("step", [step.loss for step in steps[1:]], first=2),
        "SGD weights": of_parameters(trainer, weights[-1]),
        "validation loss": numbered("after step", [trainer.validate()], first=STEPS),
    }


def _adamw(case: Case, run: RankRun, region: Recording, counting: Counting) -> None:
    """Trains with AdamW. After SAVED steps, another trainer restores the saved state. Both trainers then run
    the next step, and the results are compared.
    """
    trainer = run.trainer
    steps = [trainer.step() for _ in range(SAVED)]
    saved = trainer.state()
    before = saved_state(saved)
    resumed = None if case.reference else _resumed(case, "AdamW", run, saved)
    if isinstance(trainer.reducer, CompressedReducer):
        trainer.reducer.forget()                                    # the resumed trainer has no residuals
    steps.append(trainer.step())
    if resumed:
        run.diverged = first_difference((trainer, steps[-1]), (resumed, resumed.step()))
    steps += [trainer.step() for _ in range(SAVED + 1, STEPS)]
    run.record = {
        "AdamW losses": numbered("step", [step.loss for step in steps]),
        "clipped norms": numbered("step", [step.norm for step in steps]),
        "AdamW weights": of_parameters(trainer, copied(trainer.store.weights_by_name())),
        "AdamW state": {at: seen for slot, state in trainer.optimizer.state.items()
                        for at, seen in of_parameters(trainer, copied(trainer.store.state_by_name(state)),
                                                      f"{slot} of ").items()},
        **before,
    }


def _resumed(case: Case, name: str, run: RankRun, saved: TrainingState) -> Trainer:
    """Returns a new trainer on the same ranks with the saved state. This is like a restart of the program.
    name: a key of RUNS.
    """
    region = region_of(run.grid.tp, case.model.context, case.layout.sequence_parallel)
    trainer = make_trainer(case, name, run.grid, region)
    trainer.restore(*to_all_ranks(run.grid.world, saved), where="memory")
    return trainer


def _mixed(case: Case, run: RankRun, region: Recording, counting: Counting) -> None:
    """Trains in float16. Step 2 overflows on one rank, so all ranks must skip it. At the end, another trainer
    restores the state.
    """
    trainer = run.trainer
    steps = [trainer.step()]
    first = copied(trainer.store.gradients_by_name())
    overflow_in_next_step(trainer)
    skipped = trainer.step()
    steps.append(trainer.step())
    if not case.reference:
        run.diverged = different_number(trainer, _resumed(case, "mixed", run, trainer.state()))
    run.record = {
        "loss scales": numbered("step", [*(step.scale for step in (steps[0], skipped, steps[1])),
                                         trainer.scale.scale]),
        "mixed gradients": of_parameters(trainer, first),
        "mixed losses": numbered("step", [step.loss for step in steps]),
        "mixed norms": numbered("step", [step.norm for step in steps]),
        "mixed weights": of_parameters(trainer, copied(trainer.store.weights_by_name())),
    }


def _text(case: Case, run: RankRun, region: Recording, counting: Counting) -> None:
    run.record = generated(run.trainer, case.reference)


MAKE: dict[str, Callable[[Case, RankRun, Recording, Counting],
                         None]] = {"SGD": _sgd, "AdamW": _adamw, "mixed": _mixed, "text": _text}


def _activations(trainer: Trainer, seen: RecordedPieces) -> Entries:
    """Returns the recorded activations, with functions that select this rank's samples and tokens from the
    whole array. The slices are computed here from the layout. The trainer's own slices could be wrong because
    of a bug.
    """
    layout, T = trainer.grid.layout, trainer.model.context
    counts, at = even_counts(trainer.config.batch, layout.dp), trainer.grid.at["dp"]
    rows = slice(sum(counts[:at]), sum(counts[: at + 1]))
    shares, at = even_counts(T, layout.tp), trainer.grid.at["tp"]
    tokens = slice(sum(shares[:at]), sum(shares[: at + 1]))

    def own(n: int, whole: np.ndarray) -> np.ndarray:
        return whole[rows] if n == T else whole[rows, tokens]

    # b samples, T tokens (t of this rank), width D: shapes [b, T, D] or [b, t, D]
    return {at: Seen(array, partial(own, array.shape[1])) for at, array in joined(seen).items()}
