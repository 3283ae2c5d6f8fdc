"""Trainings on threads in which a rank dies at any message, and what must hold afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from minipar.comm.wrappers.faults import Fault
from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.data.tokenizer import CharTokenizer
from minipar.parallel.grid import Grid
from minipar.training.elastic import ElasticTraining
from minipar.training.state import TrainingState
from minipar.training.trainer import Trainer
from tests.tiny import MODEL, TEXT, TRAIN

STEPS = 3
BITWISE = [Layout(dp=dp, gradients="bitwise") for dp in (4, 3, 2, 1)]
MIXED = [Layout(dp=2, tp=2), Layout(pp=2), Layout(tp=2), Layout()]
LETTERS = CharTokenizer.from_text(TEXT)
TOKENS = LETTERS.encode(TEXT)


def make(grid: Grid) -> Trainer:
    """A trainer of plain SGD in float64: wrong scales show, and 20 steps stay within 1e-12."""
    values: dict[str, Any] = {**MODEL, **TRAIN, "layers": 2, "vocabulary": LETTERS.vocab_size, "optimizer": "sgd", "dtype": "float64",
              "steps": STEPS, "validation_windows": 1, "warm_up": 2}
    model, train = ({field.name: values[field.name] for field in fields(config) if field.name in values}
                    for config in (ModelConfig, TrainConfig))
    return Trainer(ModelConfig(**model), TrainConfig(**train), LETTERS, TOKENS, grid)


def train(allowed: Sequence[Layout], ranks: int, deaths: Sequence[Sequence[Fault]] = (),
          replica_every: int = 1) -> tuple[TrainingState, ElasticTraining]:
    training = ElasticTraining(make, allowed, ranks, replica_every)
    return training.run(deaths), training


def distance(state: TrainingState, other: TrainingState) -> float:
    """The largest difference of any element; infinity if the metadata differ."""
    if state[1]["done"] != other[1]["done"] or state[0].keys() != other[0].keys():
        return np.inf
    return max(float(abs(array - other[0][name]).max()) for name, array in state[0].items())

