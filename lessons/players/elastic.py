"""The elastic player's runs: a training on threads that loses three ranks, with replicas of different age."""

from __future__ import annotations

import functools
import html
from typing import Any

import minipar as mp
from minipar.comm.wrappers.faults import Fault
from minipar.data.tokenizer import CharTokenizer
from minipar.training.elastic import ElasticTraining, smaller_along_dp
from minipar.training.state import TrainingState
from minipar.training.step_result import StepResult

TITLE = "A job through three deaths"
DOES = (
    "A training on 8 ranks, dp 4 and pp 2, loses a rank three times. Each time, a new job starts from the "
    "newest replica, on the largest layout that the remaining ranks allow. Choose how often a replica is "
    "kept, and step. Predict first: how many steps run twice, and how many ranks train at the end?"
)

TEXT = "to be, or not to be, that is the question. " * 20
LETTERS = CharTokenizer.from_text(TEXT)
TOKENS = LETTERS.encode(TEXT)
RANKS, STEPS, EVERY = 8, 10, (1, 2, 4)
DEATHS = ((7, 3), (2, 5), (5, 9))                                   # (rank, the step that it does not finish)
LAYOUTS = smaller_along_dp(mp.Layout(dp=4, pp=2, gradients="bitwise"))
MODEL = mp.ModelConfig(vocabulary=LETTERS.vocab_size, context=4, layers=2, heads=1, width=8)
TRAIN = mp.TrainConfig(batch=6, steps=STEPS, lr=0.01, warm_up=2, optimizer="sgd", dtype="float64",
                       validation_windows=2)
CALLS = 4   # labelled "gradient norm" in a rank's step: all-reduces over tp and pp, a send, a receive


class RecordedTraining(ElasticTraining):
    """losses: (life, step) -> the loss on each rank that finished the step. kept: the life and the finished steps
    of each replica.
    """

    def __init__(self, every: int) -> None:
        super().__init__(self._trainer, LAYOUTS, RANKS, replica_every=every)
        self.losses: dict[tuple[int, int], list[float]] = {}
        self.kept: list[tuple[int, int]] = []

    def _trainer(self, grid: mp.Grid) -> mp.Trainer:
        losses, life = self.losses, len(self.lives)

        class RecordedTrainer(mp.Trainer):
            def step(self) -> StepResult:
                result = super().step()
                losses.setdefault((life, result.step), []).append(result.loss)
                return result

        return RecordedTrainer(MODEL, TRAIN, LETTERS, TOKENS, grid)

    def keep(self, comm: mp.Communicator, state: TrainingState) -> None:
        super().keep(comm, state)
        if comm.rank == 0:
            self.kept.append((len(self.lives), state[1]["done"]))


def faults(every: int) -> list[list[Fault]]:
    """One death for each life but the last one.

    A rank dies when it has the summed gradient of its step. So the replica before this step is complete.
    """
    planted, first = [], 0
    for rank, step in DEATHS:
        planted.append([Fault("kill", rank, label="gradient norm", nth=CALLS * (step - first))])
        first = step // every * every
    return planted


@functools.cache
def run(every: int) -> RecordedTraining:
    training = RecordedTraining(every)
    training.run(faults(every))
    return training


@functools.cache
def undisturbed() -> list[float]:
    """The losses of one rank that does not die."""
    def one_rank(comm: mp.Communicator) -> list[float]:
        trainer = mp.Trainer(MODEL, TRAIN, LETTERS, TOKENS, mp.Grid(comm, mp.Layout(gradients="bitwise")))
        return [trainer.step().loss for _ in range(STEPS)]

    found: list[float] = mp.run(1, one_rank)[0]
    return found


def lives(training: RecordedTraining) -> list[dict[str, Any]]:
    """All lives in order. ranks: those that are left. dp, pp: the layout. first: its first step. steps: [step,
    loss] of those that all its ranks finished. replicas: the finished steps in each. killed: a rank, or None.
    """
    rows, left = [], RANKS
    for number, life in enumerate(training.lives):
        steps = [[step, losses[0]] for (one, step), losses in sorted(training.losses.items())
                 if one == number and len(losses) == life.layout.ranks]
        rows.append({"ranks": left, "dp": life.layout.dp, "pp": life.layout.pp, "first": life.first_step,
                     "steps": steps, "replicas": [kept for one, kept in training.kept if one == number],
                     "killed": life.killed[0] if life.killed else None})
        left -= len(life.killed)
    return rows


@functools.cache
def recorded() -> Any:
    """runs: steps between two replicas -> lives, see `lives`. undisturbed: the losses of one rank."""
    return {"steps": STEPS, "every": EVERY, "undisturbed": undisturbed(),
            "runs": {every: lives(run(every)) for every in EVERY}}


def plain() -> str:
    """All lives of all runs."""
    rows = []
    for every in EVERY:
        for number, life in enumerate(recorded()["runs"][every]):
            last = life["steps"][-1][0]
            end = "finished" if life["killed"] is None else f"rank {life['killed']} dies in step {last + 1}"
            cells = (every, number, life["ranks"], f"dp {life['dp']} pp {life['pp']}", life["first"], last, end)
            rows.append("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells) + "</tr>")
    heads = "".join(f"<th>{name}</th>" for name in (
        "steps between replicas", "life", "ranks", "layout", "first step", "last finished step", "end"))
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
