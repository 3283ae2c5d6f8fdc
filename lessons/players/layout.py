"""The layout explorer's numbers: `plan`'s memory and traffic of every layout, or why `plan` refuses the layout.

Not every choice changes every number. For example, ZeRO does not change the activations. So the numbers are in
several tables. The keys of a table are only those choices that change its numbers, see `KEYS`.
"""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import minipar as mp
from minipar.config import GPT2
from minipar.nn.counts import computed_pairs
from minipar.plan.memory import training_memory
from minipar.plan.pieces import piece
from minipar.plan.step_time import micro_batches_of, require_plannable
from minipar.plan.traffic import step_traffic

TITLE = "Layouts: memory, traffic, bubble"
DOES = (
    "Choose a model, a layout and a stage of ZeRO. Predict first: which lines of memory become smaller, and "
    "which messages are sent more often? The numbers are those of minipar's formulas: float32, AdamW, a "
    "batch of 64, 1F1B, ring algorithms."
)

MODELS = {"small": ("4 layers, width 96, 4 heads", mp.ModelConfig(vocabulary=96, layers=4, width=96)),
          "gpt2": ("GPT-2, 12 layers, width 768", GPT2)}
BATCH = 64
# field of Choice -> the values that the explorer offers
VALUES: dict[str, tuple[Any, ...]] = {
    "model": tuple(MODELS), "dp": (1, 2, 3, 4), "tp": (1, 2, 3, 4, 8), "pp": (1, 2, 3, 4, 8),
    "micro_batches": (1, 3, 8), "recompute": ("none", "selective", "full"), "sequence_parallel": (False, True),
    "zero": (0, 1, 2, 3), "reshard": (True, False)}
# line of the ledger -> its letter in the picture, and its name
LINES = {"weights": ("W", "weights"), "gradients": ("G", "gradients"),
         "optimizer": ("O", "optimiser's state"), "activations": ("A", "activations"),
         "gathered": ("B", "buffers for whole units")}
# the explorer's lines of traffic -> axis and operation in `step_traffic`; "" stands for all operations
SENT = {"tp": ("tp", ""), "pp": ("pp", ""), "dp_reduce": ("dp", "all_reduce sum"),
        "dp_scatter": ("dp", "reduce_scatter sum"), "dp_gather": ("dp", "all_gather"), "tied": ("tied", "")}

# table -> the choices in its keys
GRID = ("model", "dp", "tp", "pp")
KEYS = {"held": (*GRID, "zero", "reshard"), "messages": (*GRID, "zero", "reshard", "micro_batches"),
        "passes": (*GRID, "micro_batches", "recompute", "sequence_parallel"),
        "bubble": ("dp", "pp", "micro_batches")}
# table -> its numbers, of each stage
COLUMNS = {"held": ("weights", "gradients", "optimizer", "gathered"), "passes": ("activations", "tp", "pp"),
           "messages": ("dp_reduce", "dp_scatter", "dp_gather", "tied")}
REFUSED = (("zero", "reshard"), ("model", "tp", "pp", "sequence_parallel"))  # choices that `plan` may refuse


@dataclass(frozen=True)
class ChosenLayout:
    model: str = "gpt2"
    dp: int = 1
    tp: int = 1
    pp: int = 1
    micro_batches: int = 1
    recompute: str = "none"
    sequence_parallel: bool = False
    zero: int = 0
    reshard: bool = True

    def key(self, names: tuple[str, ...]) -> str:
        values = (getattr(self, name) for name in names)
        return "|".join(str(int(value) if isinstance(value, bool) else value) for value in values)

    @property
    def configs(self) -> tuple[mp.ModelConfig, mp.TrainConfig, mp.Layout]:
        """The configurations of a training. Raises LayoutError if ZeRO 0 to 2 should not reshard."""
        train = mp.TrainConfig(batch=BATCH, micro_batches=self.micro_batches, recompute=self.recompute)
        layout = mp.Layout(dp=self.dp, tp=self.tp, pp=self.pp, sequence_parallel=self.sequence_parallel,
                           zero=self.zero, reshard_after_forward=self.reshard)
        return MODELS[self.model][1], train, layout

    def rank(self, stage: int) -> int:
        """The rank that the explorer shows for a stage: rank 0 of dp and tp. Other ranks hold at most as much."""
        return stage * self.dp * self.tp


def choices(names: tuple[str, ...] = tuple(VALUES)) -> Iterator[ChosenLayout]:
    """All choices of these fields; the other fields keep their defaults."""
    for values in itertools.product(*(VALUES[name] for name in names)):
        yield ChosenLayout(**dict(zip(names, values, strict=True)))


def refusal(choice: ChosenLayout) -> str:
    """Why `plan` refuses this layout, in its own words; "" if it does not."""
    try:
        model, train, layout = choice.configs
        require_plannable(model, layout)
        micro_batches_of(train, layout)
    except mp.MiniparError as error:
        return str(error)
    return ""


def bubble(choice: ChosenLayout) -> str:
    pieces = min(choice.micro_batches, piece(BATCH, choice.dp, 0))
    return str(mp.simulate(mp.schedule("1f1b", choice.pp, pieces)).bubble())


def numbers(choice: ChosenLayout, stage: int) -> dict[str, int]:
    """Line of LINES or SENT -> bytes on the stage's rank."""
    ledger = training_memory(*choice.configs, choice.rank(stage), computed_pairs)
    # a simpler choice with the same messages, which other choices share
    simple = choice if choice.recompute == "full" else replace(choice, recompute="none")
    simple = simple if choice.dp > 1 else replace(simple, zero=0, reshard=True)
    return {line: getattr(ledger, line) for line in LINES} | _sent(simple, stage)


@functools.cache
def _sent(choice: ChosenLayout, stage: int) -> dict[str, int]:
    totals: Counter[tuple[str, str]] = Counter()
    for line, amount in step_traffic(*choice.configs, choice.rank(stage), _ring).items():
        for operation in (line.op, ""):
            totals[line.axis, operation] += amount.bytes
    return {name: totals[which] for name, which in SENT.items()}


def _ring(operation: str, nbytes: int, ranks: int, *, nodes: int) -> str:
    return "ring"


@functools.cache
def recorded() -> Any:
    """keys, columns: as KEYS and COLUMNS. tables: table -> key -> the numbers of each stage, or the bubble.
    refused: [choices in its keys, {key -> reason}]. A layout that is refused is in no table.
    """
    tables: dict[str, dict[str, Any]] = {name: {} for name in KEYS}
    for name, names in KEYS.items():
        for choice in choices(names):
            if not refusal(choice):
                tables[name][choice.key(names)] = bubble(choice) if name == "bubble" else [
                    [found[column] for column in COLUMNS[name]]
                    for found in (numbers(choice, stage) for stage in range(choice.pp))]
    refused = [
        [names, {choice.key(names): reason for choice in choices(names) if (reason := refusal(choice))}]
        for names in REFUSED
    ]
    return {"models": {name: text for name, (text, _) in MODELS.items()}, "values": VALUES, "lines": LINES,
            "sent": tuple(SENT), "keys": KEYS, "columns": COLUMNS, "tables": tables, "refused": refused}


def plain() -> str:
    """GPT-2 in a few layouts."""
    names, rows = (*LINES, *SENT), []
    for dp, tp, pp, zero in ((1, 1, 1, 0), (4, 1, 1, 0), (4, 1, 1, 1), (4, 1, 1, 2), (4, 1, 1, 3),
                             (1, 4, 1, 0), (1, 1, 4, 0), (2, 2, 2, 0), (2, 2, 2, 3)):
        choice = ChosenLayout("gpt2", dp, tp, pp, 8, zero=zero)
        stages = [numbers(choice, stage) for stage in range(pp)]
        cells = "".join(f"<td>{max(found[name] for found in stages) / 2**20:,.0f}</td>" for name in names)
        label = f"dp {dp} tp {tp} pp {pp}" + f" ZeRO {zero}" * (zero > 0)
        rows.append(f"<tr><td>{label}</td>{cells}<td>{bubble(choice)}</td></tr>")
    titles = ("layout", *(name for _, name in LINES.values()), "sent along tp", "along pp",
              "along dp: all-reduces", "reduce-scatters", "all-gathers", "tied table", "bubble")
    heads = "".join(f"<th>{title}</th>" for title in titles)
    return (
        f"<p>{MODELS['gpt2'][0]}, 8 micro-batches: MiB on the rank that has most, per line and per axis.</p>"
        f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )
