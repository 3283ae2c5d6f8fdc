"""The layout explorer's numbers: for every layout it offers, what `plan` says of memory and traffic, or why not."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import minipar as mp
from minipar.config import GPT2
from minipar.nn.counts import computed_pairs
from minipar.parallel import TensorRegion
from minipar.parallel.stages import parts_of
from minipar.plan.activations import published
from minipar.plan.amounts import by_axis
from minipar.plan.memory import training_memory
from minipar.plan.pieces import piece
from minipar.plan.traffic import step_traffic

TITLE = "Layouts: memory, traffic, bubble"
DOES = ("Choose a model and a layout. Predict first: which lines of memory become smaller, and which axis sends most? "
        "The numbers are those of minipar's formulas: float32, AdamW, a batch of 64, 1F1B, ring all-reduces.")

MODELS = {"small": ("4 layers, width 96, 4 heads", mp.ModelConfig(vocabulary=96, layers=4, width=96)),
          "gpt2": ("GPT-2, 12 layers, width 768", GPT2)}
DP, TP, PP, MICRO_BATCHES = (1, 2, 4), (1, 2, 4, 8), (1, 2, 4, 8), (1, 4, 8)
RECOMPUTE = ("none", "selective", "full")
BATCH = 64
LINES = ("weights", "gradients", "optimizer", "activations")
AXES = ("tp", "pp", "dp", "tied")


@dataclass(frozen=True)
class Choice:
    model: str
    dp: int
    tp: int
    pp: int
    micro_batches: int
    recompute: str = "none"
    sequence_parallel: bool = False

    @property
    def key(self) -> str:
        return "|".join(map(str, (self.model, self.dp, self.tp, self.pp, self.micro_batches, self.recompute,
                                  int(self.sequence_parallel))))

    @property
    def configs(self) -> tuple[mp.ModelConfig, mp.TrainConfig, mp.Layout]:
        return (MODELS[self.model][1],
                mp.TrainConfig(batch=BATCH, micro_batches=self.micro_batches, recompute=self.recompute),
                mp.Layout(dp=self.dp, tp=self.tp, pp=self.pp, sequence_parallel=self.sequence_parallel))


def choices() -> Iterator[Choice]:
    for values in itertools.product(MODELS, DP, TP, PP, MICRO_BATCHES, RECOMPUTE, (False, True)):
        yield Choice(*values)


def refusal(choice: Choice) -> str:
    """Why minipar does not train this layout, in the words of its own checks; "" where it does."""
    model, _, layout = choice.configs
    try:
        parts_of(model.layers, layout.pp)
        TensorRegion(SimpleNamespace(rank=0, size=layout.tp)).shard(model.heads, "heads")
        published(model.layers, model.width, model.heads, model.context, 1, tp=layout.tp,
                  sequence_parallel=layout.sequence_parallel)
    except mp.MiniparError as error:
        return str(error)
    return ""


def bubble(choice: Choice) -> str:
    pieces = min(choice.micro_batches, piece(BATCH, choice.dp, 0))
    return str(mp.simulate(mp.schedule("1f1b", choice.pp, pieces)).bubble())


def numbers(choice: Choice) -> list[list[int]]:
    """For each rank of pp (rank 0 of dp and tp): bytes held, by LINES, and bytes sent in a step, by AXES."""
    model, train, layout = choice.configs
    rows = []
    for pp_rank in range(layout.pp):
        rank = pp_rank * layout.dp * layout.tp
        ledger = training_memory(model, train, layout, rank, computed_pairs)
        rows.append([getattr(ledger, line) for line in LINES] + _sent(choice, rank))
    return rows


def _sent(choice: Choice, rank: int) -> list[int]:
    # recomputing attention's scores sends nothing more
    recompute = "none" if choice.recompute == "selective" else choice.recompute
    return _sent_by_axis(Choice(choice.model, choice.dp, choice.tp, choice.pp, choice.micro_batches, recompute,
                                choice.sequence_parallel), rank)


@functools.cache
def _sent_by_axis(choice: Choice, rank: int) -> list[int]:
    sent = by_axis(step_traffic(*choice.configs, rank, lambda operation, nbytes, ranks, *, nodes: "ring"))
    return [sent[axis].bytes if axis in sent else 0 for axis in AXES]


@functools.cache
def recorded() -> Any:
    layouts = {choice.key: refusal(choice) or [bubble(choice), numbers(choice)] for choice in choices()}
    return {"models": {name: text for name, (text, _) in MODELS.items()}, "dp": DP, "tp": TP, "pp": PP,
            "micro_batches": MICRO_BATCHES, "recompute": RECOMPUTE, "lines": LINES, "axes": AXES, "layouts": layouts}


def plain() -> str:
    """GPT-2 in a few layouts."""
    rows = []
    for dp, tp, pp in ((1, 1, 1), (4, 1, 1), (1, 4, 1), (1, 1, 4), (2, 2, 2)):
        choice = Choice("gpt2", dp, tp, pp, 8)
        most = [max(column) for column in zip(*numbers(choice), strict=True)]
        cells = "".join(f"<td>{one / 2**20:,.0f}</td>" for one in most)
        rows.append(f"<tr><td>dp {dp} tp {tp} pp {pp}</td>{cells}<td>{bubble(choice)}</td></tr>")
    heads = "".join(f"<th>{name}</th>" for name in ("layout", *LINES, *(f"sent {axis}" for axis in AXES), "bubble"))
    return (f"<p>{MODELS['gpt2'][0]}, 8 micro-batches: MiB on the rank that has most, per line and per axis.</p>"
            f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>")
