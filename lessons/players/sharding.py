"""The sharding player's runs: one step of the trainer on four ranks, with each stage of ZeRO."""

from __future__ import annotations

import functools
import html
import itertools
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np

import minipar as mp
from minipar.autograd import record
from minipar.comm.protocol import NOT_GIVEN, Request
from minipar.comm.wrappers.labelled import Labelled
from minipar.data.tokenizer import CharTokenizer
from minipar.nn.counts import computed_pairs
from minipar.nn.units import Units
from minipar.parallel.sharded_gradients import StreamedReducer
from minipar.parallel.sharded_units import GatheredUnits
from minipar.plan.memory import training_memory
from minipar.plan.sharding import unit_sizes
from minipar.plan.stages import stages_of

TITLE = "ZeRO, stage by stage"
DOES = (
    "Four ranks of dp take one training step. Choose a stage of ZeRO, and step. What does each rank hold of "
    "the weights, the gradients and the optimiser's state? Which blocks are whole for a while? What is "
    "sent? Predict first: which stages send more than stage 0?"
)

TEXT = "to be, or not to be, that is the question. " * 20
LETTERS = CharTokenizer.from_text(TEXT)
MODEL = mp.ModelConfig(vocabulary=LETTERS.vocab_size, context=8, layers=6, heads=2, width=8)
RANKS, MICRO_BATCHES = 4, (1, 2)
STAGES = {"0": ("0: all is whole", mp.Layout(dp=RANKS, gradients="flat")),
          "1": ("1: the state is sharded", mp.Layout(dp=RANKS, zero=1)),
          "2": ("2: gradients, too", mp.Layout(dp=RANKS, zero=2)),
          "3": ("3: weights, too", mp.Layout(dp=RANKS, zero=3)),
          "3 kept": ("3, weights stay after forward",
                     mp.Layout(dp=RANKS, zero=3, reshard_after_forward=False))}
LINES = ("weights", "gradients", "optimizer", "gathered")


PARTS = {"embedding": ("positions", "tokens"), "head": ("norm", "tokens")}      # name in the model -> units


class Diary:
    """What one rank does in a step: moments, see `recorded`."""

    def __init__(self) -> None:
        self.moments: list[dict[str, Any]] = []
        self.trainer: mp.Trainer | None = None                      # None: nothing is noted
        self.filling: set[str] = set()                              # units whose gradient backward computes

    def note(self, words: str, units: Iterable[str] = ()) -> dict[str, Any]:
        """Add a moment. units: those that it is about."""
        found: dict[str, Any] = {"said": words, "units": list(units), "sent": 0}
        if self.trainer is not None:
            found |= {"weights": _gathered(self.trainer), "gradients": self._gradients(self.trainer)}
            self.moments.append(found)
        return found

    def ran(self, direction: str, name: str) -> None:
        """The forward or backward of a unit begins; its name is the model's."""
        units = PARTS.get(name, (name,))
        if direction == "backward":
            self.filling.update(units)
        self.note(f"{direction} of {name}", units)

    def sends(self, op: str, label: str) -> dict[str, Any]:
        """A collective begins."""
        what, _, unit = label.partition(" of ")
        self.filling.discard(unit)
        found = self.note(f"{op.replace('_', '-')}: {label}", [unit] if unit else [])
        in_buffers = self.trainer is not None and self.trainer.grid.layout.zero >= (
            3 if what == "weights" else 2
        )
        if unit and in_buffers:
            found[what][unit] = "moves"
        return found

    def _gradients(self, trainer: mp.Trainer) -> dict[str, str]:
        """unit -> "whole" while backward fills its gradient, "moves" while it is summed. Only stages 2 and 3 have
        such units.
        """
        reducer = trainer.reducer
        if not isinstance(reducer, StreamedReducer):
            return {}
        summed = [piece.unit.name for piece, _ in reducer.reducing]
        return dict.fromkeys(sorted(self.filling), "whole") | dict.fromkeys(summed, "moves")


def _gathered(trainer: mp.Trainer) -> dict[str, str]:
    """unit -> "moves" while its weights are gathered, "whole" afterwards. Only stage 3 has such units."""
    units = trainer.stages.models[0].units
    inner = units.inner if isinstance(units, WatchedUnits) else units
    if not isinstance(inner, GatheredUnits):
        return {}
    pending = inner.gathering.pending
    return {unit.name: "moves" if unit in pending else "whole" for unit in inner.gathering.present.values()}


class WatchedMessages(Labelled):
    """Notes every collective of the step, with the bytes that this rank sends for it."""

    def __init__(self, inner: mp.Communicator, diary: Diary) -> None:
        super().__init__(inner)
        self.diary = diary
        self.calls: dict[int, dict[str, Any]] = {}                  # tag of a collective -> its moment

    def entering(self, op: str, shape: tuple[int, ...] | None, dtype: np.dtype | None,
                 *, label: str | None = None, **agreed: Any) -> int:
        tag = super().entering(op, shape, dtype, label=label, **agreed)
        if self.size > 1:
            self.calls[tag] = self.diary.sends(op, str(label))
        return tag

    def isend(self, array: np.ndarray, dest: int = NOT_GIVEN, *, label: str | None = None,
              tag: int = 0) -> Request:
        self.calls[tag]["sent"] += array.nbytes
        return super().isend(array, dest, label=label, tag=tag)

    def wrap(self, part: mp.Communicator) -> mp.Communicator:
        return WatchedMessages(part, self.diary)


class WatchedUnits(Units):
    """Notes when a unit of the model runs, and leaves the rest to `inner`."""

    def __init__(self, inner: Units, diary: Diary) -> None:
        self.inner, self.diary = inner, diary

    def before_forward(self, unit: str) -> None:
        self.inner.before_forward(unit)
        self.diary.ran("forward", unit)

    def before_backward(self, unit: str, y: mp.Tensor) -> mp.Tensor:
        def vjp(g: np.ndarray) -> tuple[np.ndarray]:
            self.diary.ran("backward", unit)
            return (g,)

        return self.inner.before_backward(unit, record(y.data, (y,), vjp))

    def end(self) -> None:
        self.inner.end()
        self.diary.note("the forward or backward of this micro-batch has ended")


def configs(stage: str, micro_batches: int) -> tuple[mp.ModelConfig, mp.TrainConfig, mp.Layout]:
    train = mp.TrainConfig(batch=2 * RANKS, micro_batches=micro_batches, validation_windows=1)
    return MODEL, train, STAGES[stage][1]


def one_step(comm: mp.Communicator, stage: str,
             micro_batches: int) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """The moments of one rank's step, and the bytes that it holds, by LINES."""
    diary, (model, train, layout) = Diary(), configs(stage, micro_batches)
    grid = mp.Grid(WatchedMessages(comm, diary), layout)
    trainer = mp.Trainer(model, train, LETTERS, LETTERS.encode(TEXT), grid)
    whole = trainer.stages.models[0]
    whole.units = WatchedUnits(whole.units, diary)
    update = trainer.optimizer.step

    def noted(lr: float) -> None:
        update(lr)
        diary.note("the optimiser's step")

    trainer.optimizer.step = noted                                  # type: ignore[method-assign]
    diary.trainer = trainer
    diary.note("before the step")
    trainer.step()
    diary.note("after the step")
    state = sum(array.nbytes for array in trainer.optimizer.state.values())
    return diary.moments, {"gathered": 0, **trainer.store.held(), "optimizer": state}


def run(stage: str, micro_batches: int) -> dict[str, Any]:
    """moments: as on every rank, but "sent" is a list by rank. held: by rank, by LINES."""
    ranks = mp.run(RANKS, one_step, stage, micro_batches)
    moments = [{**one, "sent": [moments[number]["sent"] for moments, _ in ranks]}
               for number, one in enumerate(ranks[0][0])]
    return {"moments": moments, "held": [[held[line] for line in LINES] for _, held in ranks]}


@functools.cache
def recorded() -> Any:
    """units: [name, elements] in their order. runs: stage -> micro-batches -> moments and held, see `run`.

    A moment: said; units: those that it is about; sent: bytes of the messages that begin; weights and
    gradients: unit -> "whole" if it is whole in a buffer, or "moves" while it is gathered or summed.
    """
    units = unit_sizes(MODEL, 1, 0, stages_of(MODEL, mp.Layout()), 0)
    runs: dict[str, Any] = {}
    for stage, micro_batches in itertools.product(STAGES, MICRO_BATCHES):
        runs.setdefault(stage, {})[micro_batches] = run(stage, micro_batches)
    return {"units": [[unit, units.elements(unit)] for unit in units.messages], "ranks": RANKS, "lines": LINES,
            "stages": {stage: text for stage, (text, _) in STAGES.items()}, "micro_batches": MICRO_BATCHES,
            "runs": runs}


def plain() -> str:
    """What rank 0 holds and sends in every run, beside the bytes that `plan` predicts."""
    rows = []
    for (stage, (text, _)), micro_batches in itertools.product(STAGES.items(), MICRO_BATCHES):
        found = recorded()["runs"][stage][micro_batches]
        ledger = asdict(training_memory(*configs(stage, micro_batches), 0, computed_pairs))
        held, sent = found["held"][0], sum(one["sent"][0] for one in found["moments"])
        numbers = (*held, sum(held), sum(ledger[line] for line in LINES), sent)
        cells = (text, micro_batches, *(f"{one:,}" for one in numbers))
        rows.append("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells) + "</tr>")
    heads = "".join(f"<th>{name}</th>" for name in (
        "stage of ZeRO", "micro-batches", *LINES, "in all", "in all, by plan", "sent in a step"))
    return (f"<p>Rank 0 of dp {RANKS}: bytes held, without activations, and bytes sent.</p>"
            f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>")
