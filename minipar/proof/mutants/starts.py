"""Bugs of random numbers: initial values or dropout masks depend on the layout, or they are equal although
they must differ.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from minipar.nn import Dropout, Parameter
from minipar.parallel.pipeline import MicroBatch
from minipar.proof.mutants.mutant import Change, after_init, mutant
from minipar.rng import stream
from minipar.training import trainer as train
from minipar.training.trainer import Trainer


@mutant("initial weights", tp=2)
def drawn_by_the_shard() -> list[Change]:
    """Each rank draws only its own shard, and all ranks use the same seed. So the shards are equal."""
    def initialise(p: Parameter, seed: int, dtype: np.dtype) -> None:
        p.data = p.start.draw(stream(seed, "init", p.name), p.shape).astype(dtype)
    return [Change(Parameter, "initialise", initialise)]


@mutant("initial weights", tp=2)
def scaled_by_the_shard() -> list[Change]:
    """The standard deviation of initial values depends on the number of inputs of the shard, not of the whole
    layer. So more ranks give larger initial weights.
    """
    original = Parameter.initialise

    def initialise(p: Parameter, seed: int, dtype: np.dtype) -> None:
        original(p, seed, dtype)
        p.data *= np.sqrt(p.size / p.data.size)
    return [Change(Parameter, "initialise", initialise)]


@mutant("initial weights", layers=2)
def layers_start_alike() -> list[Change]:
    """The seed does not depend on the parameter's name, so arrays of equal shape start with equal values.
    ShallowSpeed had this bug.
    """
    def initialise(p: Parameter, seed: int, dtype: np.dtype) -> None:
        p.data = p.own(p.start.draw(stream(seed, "init", p.whole), p.whole)).astype(dtype)
    return [Change(Parameter, "initialise", initialise)]


@mutant("initial weights", dp=2)
def replicas_start_apart() -> list[Change]:
    """Each rank of dp draws the initial weights from its own seed, and no broadcast makes them equal. Equal
    gradients do not remove this difference.
    """
    def draw(trainer: Trainer, *arguments: Any, **options: Any) -> None:
        for p in trainer.flat.parameters:
            rng = stream(trainer.config.seed + trainer.grid.at["dp"], "init", p.name)
            p.data[...] = p.own(p.start.draw(rng, p.whole))
    return [after_init(Trainer, draw)]


@mutant("forward", tp=2, dropout=0.2)
def dropout_differs_on_replicas() -> list[Change]:
    """Ranks of tp hold the same activations, but drop different elements."""
    original = Trainer.micro_batches

    def of_other_seeds(trainer: Trainer, *arguments: Any) -> list[MicroBatch]:
        config = trainer.config
        trainer.config = replace(config, seed=config.seed + trainer.grid.at["tp"])
        try:
            return original(trainer, *arguments)
        finally:
            trainer.config = config
    return [Change(Trainer, "micro_batches", of_other_seeds)]


@mutant("forward", dp=2, dropout=0.2)
def dropout_by_position_in_the_micro_batch() -> list[Change]:
    """The dropout mask of a sample depends on its index in the micro-batch, not in the batch. So all ranks
    and micro-batches drop the same units.
    """
    def dropout(rate: float, seed: int, step: int, rows: np.ndarray) -> Dropout:
        return Dropout(rate, seed, step, np.arange(len(rows)))
    return [Change(train, "Dropout", dropout)]


@mutant("later gradients", dropout=0.2)
def dropout_repeats_every_step() -> list[Change]:
    """The same units are dropped in every step, because the generator restarts in every step."""
    return [Change(train, "Dropout", lambda rate, seed, step, rows: Dropout(rate, seed, 0, rows))]
