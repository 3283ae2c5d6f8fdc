"""A case of the proof is a model, the options of a training run, and a layout. The proof runs several short
training runs of a case with the Trainer of `minipar train`.

By default no size is a multiple of the number of ranks. So ranks get uneven shards of the vocabulary, the
heads, the hidden width, the tokens and the batch. Biases start at non-zero values, because zeros would hide
mistakes. Some targets are ignored, so that ranks and micro-batches also have uneven numbers of counted
tokens.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

import numpy as np

from minipar.autograd import IGNORE
from minipar.config import Layout, ModelConfig, TrainConfig, require_precise
from minipar.data.batches import Batch, Batches, EvaluationBatches
from minipar.data.markov import MarkovSource
from minipar.data.tokenizer import CharTokenizer, Tokenizer
from minipar.errors import ConfigError
from minipar.nn import Region
from minipar.parallel.grid import Grid
from minipar.parallel.pipeline import Around, nothing
from minipar.plan.axis import FORMS
from minipar.precision import LossScale
from minipar.rng import stream
from minipar.schedules.find import find_schedule
from minipar.training.build import TrainingData, training_data
from minipar.training.trainer import Trainer

STEPS = 3
SAVED = 2  # after this many steps another trainer restores the state of AdamW
# name of a run -> the options that differ between runs. SGD comes first: Adam's steps do not depend on the
# scale of the gradient, so they would hide a wrong scale. The AdamW run adds optimizer state, weight decay,
# clipping and a restart. The mixed run changes its loss scale in every step, skips its second step,
# recomputes whole blocks, and restarts. The text run generates text.
RUNS: dict[str, dict[str, Any]] = {
    "SGD": dict(optimizer="sgd", lr=0.1, clip=0.0, weight_decay=0.0),
    "AdamW": dict(optimizer="adamw", lr=1e-4, clip=0.1, weight_decay=0.1),
    "mixed": dict(optimizer="sgd", lr=0.1, clip=0.0, weight_decay=0.0, dtype="float32", precision="float16"),
    "text": dict(optimizer="sgd", lr=0.1, clip=0.0, weight_decay=0.0),
}
# The loss scale of the first step of the mixed run. An overflow halves it, and each other step doubles it.
SCALE = 1024.0
# Options that all runs share. Every step has a different learning rate: step 1 is the warm-up, and the rate
# decays after it.
ALIKE: dict[str, Any] = dict(steps=STEPS, schedule="cosine", warm_up=1, precision="float32", loss_scale=0.0)
ALGORITHMS = ("auto", *FORMS["all_reduce"], "hierarchical")         # algorithms whose messages have a formula
TEXT = 2000                                                         # tokens in the training text
FIRST = 0x100  # the text uses the Unicode characters from this number on
PADDING = 0.2                                                       # fraction of the targets that are ignored
MOST_BATCHES = 17  # a validation has one batch more than dp has ranks, but not more batches than this


@dataclass(frozen=True)
class Case:
    """A model, its training and its layout on ranks. Each run replaces some training options by the options
    of RUNS and ALIKE.

    serial: if true, the reference runs the same micro-batches one after the other. If false, it runs the
    whole batch at once. algorithm: one of ALGORITHMS. Every all-reduce whose caller names no algorithm uses
    this one. reference: true if this case is the single process with which another case is compared. noise:
    if true, the last bit of each initial weight is changed. The change of the results then shows the effect
    of rounding. Raises ConfigError for an unknown algorithm, and for a model of width 2 (see
    require_precise).
    """

    model: ModelConfig
    train: TrainConfig
    layout: Layout
    serial: bool = False
    algorithm: str = "auto"
    reference: bool = False
    noise: bool = False

    def __post_init__(self) -> None:
        require_precise(self.model)
        if self.algorithm not in ALGORITHMS:
            raise ConfigError(f"no all-reduce {self.algorithm!r} has a traffic formula; "
                              f"choose {', '.join(ALGORITHMS)}")

    def single_process(self) -> Case:
        """Returns the same case for one process, without recomputation."""
        pieces = self.train.micro_batches if self.serial else 1
        gradients = "bitwise" if self.layout.gradients == "bitwise" else "flat"
        return replace(self, train=replace(self.train, micro_batches=pieces, recompute="none"),
                       layout=Layout(gradients=gradients), algorithm="auto", reference=True)

    def config(self, run: str) -> TrainConfig:
        """Returns the TrainConfig of a run. run: a key of RUNS. A mixed run recomputes whole blocks if the
        case itself does not recompute. The reference never recomputes.
        """
        train = replace(self.train, **{"dtype": self.train.dtype, **ALIKE, **RUNS[run]})
        again = run == "mixed" and train.recompute == "none" and not self.reference
        return replace(train, recompute="full") if again else train


def uneven_case(layout: Layout, **values: Any) -> Case:
    """Returns a case whose sizes are not multiples of the layout's dp, tp and pp. values: fields of
    ModelConfig and TrainConfig that replace the default sizes.

    Raises ConfigError for an unknown field or an invalid value. Raises ScheduleError or LayoutError for an
    invalid schedule.
    """
    stages = len(find_schedule(layout.pipeline, layout.pp, virtual=layout.virtual or None).stage_to_rank)
    heads = values.get("heads", 6 if layout.tp < 6 else layout.tp + 1)
    values = dict(vocabulary=65, context=max(11, layout.tp + 3), layers=sum(layout.stage_layers) or stages
                  + 1, heads=heads, width=3 * heads, hidden=37, batch=max(7, layout.dp + 3), micro_batches=3,
                  dtype="float64") | values
    model, train = ({field.name: values.pop(field.name) for field in fields(config) if field.name in values}
                    for config in (ModelConfig, TrainConfig))
    if values:
        raise ConfigError(f"there is no size or option {', '.join(values)}")
    options = TrainConfig(**train)
    whole = min(layout.dp, MOST_BATCHES - 1)                        # the last batch has only two windows
    return Case(ModelConfig(**model), replace(options, validation_windows=whole * options.batch + 2), layout)


def make_trainer(case: Case, run: str, grid: Grid, region: Region, watch: Around = nothing) -> Trainer:
    """Returns the trainer of one rank. run: a key of RUNS. watch: returns a context that surrounds each
    instruction of the pipeline. Raises the errors that Trainer raises.
    """
    config, seed, (tokenizer, tokens) = case.config(run), case.train.seed, text_of(case.model.vocabulary)
    batches, validation = training_data(tokens, case.model, config)
    trainer = Trainer(case.model, config, tokenizer, tokens, grid, region, watch,
                      data=TrainingData(Padded(batches, seed), PaddedWindows(validation, seed)),
                      scale=LossScale(SCALE, growth_every=1) if run == "mixed" else None)
    weights = {name: weight.copy() for name, weight in trainer.store.weights_by_name().items()}
    for p in trainer.store.parameters:
        weight = weights[p.name]
        weight += p.own(0.3 * stream(seed, "verify", p.name).standard_normal(p.whole))
        if case.noise:
            up = stream(seed, "noise", p.name).random(p.whole) < 0.5
            unit = np.finfo(np.float16 if run == "mixed" else weight.dtype).eps
            weight *= (1 + np.where(p.own(up), unit, -unit)).astype(weight.dtype)
    trainer.store.load_weights(weights)
    return trainer


@lru_cache(maxsize=4)  # every rank calls this function in every run
def text_of(vocabulary: int) -> tuple[Tokenizer, np.ndarray]:
    """Returns a tokenizer of `vocabulary` characters, and the tokens of a text, [2000]. A Markov chain
    generates the text, so a model can learn it.

    Raises ConfigError if Unicode has too few characters.
    """
    if vocabulary > (most := sys.maxunicode + 1 - FIRST):
        raise ConfigError(f"vocabulary is {vocabulary}; verify has only {most:,} different characters; "
                          "choose a smaller one")
    tokenizer = CharTokenizer("".join(chr(FIRST + token) for token in range(vocabulary)))
    tokens = MarkovSource.random(vocabulary, seed=0).sample(TEXT, seed=0)
    tokens.setflags(write=False)
    return tokenizer, tokens


class Padded(Batches):
    """Wraps training batches, and sets some targets to IGNORE. These targets are like padding after short
    texts.
    """

    def __init__(self, batches: Batches, seed: int):
        self._batches, self._seed = batches, seed

    def get(self, step: int) -> Batch:
        return _padded(self._batches.get(step), self._seed, "padding", step)


class PaddedWindows(EvaluationBatches):
    """Wraps validation batches, and sets some targets to IGNORE."""

    def __init__(self, batches: EvaluationBatches, seed: int):
        self._batches, self._seed = batches, seed

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        return (_padded(batch, self._seed, "validation padding", number)
                for number, batch in enumerate(self._batches))


def _padded(batch: Batch, seed: int, what: str, number: int) -> Batch:
    inputs, targets = batch
    return inputs, np.where(stream(seed, what, number).random(targets.shape) < PADDING, IGNORE, targets)
