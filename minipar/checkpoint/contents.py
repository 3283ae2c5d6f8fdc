"""Checks all metadata and arrays of a run's checkpoint before a model is built from them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from minipar.checkpoint.match import require_match
from minipar.config import MOST_STEPS, ModelConfig, TrainConfig
from minipar.data.tokenizer import tokenizer_from_dict
from minipar.errors import CheckpointError, MiniparError, shown
from minipar.optim import OPTIMIZERS
from minipar.plan.parameters import rank_shapes
from minipar.precision import LossScale
from minipar.records import is_whole, record_from
from minipar.untrusted.arrays import Declared

# the required metadata of a run's checkpoint
META = {"model", "train", "tokenizer", "text", "done", "optimizer_steps"}
_DIGEST = re.compile("[0-9a-f]{32}")


def require_run(meta: Mapping[str, Any], arrays: Mapping[str, Declared], where: object) -> None:
    """Raises CheckpointError unless the metadata and the arrays' shapes and dtypes belong to a valid run.

    `where` names the file in errors.
    """
    model, train = require_meta(meta, where)
    _require_arrays(model, train, arrays, where)


def require_meta(meta: Mapping[str, Any], where: object) -> tuple[ModelConfig, TrainConfig]:
    """Return the sizes and options in the metadata of a run. Raises CheckpointError for invalid metadata."""
    if lacking := sorted(META - meta.keys()):
        raise CheckpointError(f"{where} is not a checkpoint of minipar train: it has no "
                              f"{', '.join(lacking)}; choose another folder")
    try:
        model = record_from(ModelConfig, meta["model"], "model")
        train = record_from(TrainConfig, meta["train"], "train")
        tokenizer = tokenizer_from_dict(meta["tokenizer"])
        if lacking := sorted({"dtype", "tokenizer"} - meta["train"].keys()):
            raise CheckpointError(f"its training options have no {', '.join(lacking)}")
        if "precision" in meta["train"] or "loss_scale" in meta:
            record_from(LossScale, meta.get("loss_scale"), "loss_scale")
        _require_counts(meta)
        kind = train.tokenizer.partition(":")[0]
        if tokenizer.vocab_size != model.vocabulary or meta["tokenizer"]["kind"] != kind:
            raise CheckpointError(f"its tokenizer has {tokenizer.vocab_size} tokens, but its model "
                                  f"has {model.vocabulary}")
    except MiniparError as error:
        raise CheckpointError(f"{where} is not a checkpoint that minipar wrote: {error}") from error
    return model, train


def array_kinds(train: TrainConfig) -> list[str]:
    """Return the kinds of arrays in a checkpoint: the weights, and each state array of the optimiser.

    >>> array_kinds(TrainConfig(optimizer="adagrad"))
    ['weights', 'optimizer/squares']
    """
    return ["weights", *(f"optimizer/{slot}" for slot in OPTIMIZERS[train.optimizer].slots)]


def require_sound(arrays: Mapping[str, np.ndarray], where: object) -> None:
    """Raises CheckpointError if a weight is not finite, or the optimiser's state has a NaN or a negative sum
    of squares.
    """
    for name, array in arrays.items():
        if name.startswith("weights/") and not np.isfinite(array).all() or np.isnan(array).any():
            raise CheckpointError(f"{where} cannot be used: {name} has NaN or infinity; use an older "
                                  "checkpoint")
        if name.startswith("optimizer/squares/") and (array < 0).any():
            raise CheckpointError(f"{where} cannot be used: {name} has a negative sum of squares; use an "
                                  "older checkpoint")


def _require_counts(meta: Mapping[str, Any]) -> None:
    for name in ("done", "optimizer_steps"):
        if not is_whole(meta[name]) or not 0 <= meta[name] <= MOST_STEPS:
            raise CheckpointError(f"{name} is {shown(meta[name])}; it must be a number of steps")
    if meta["optimizer_steps"] > meta["done"]:
        raise CheckpointError(f"it has {meta['optimizer_steps']} optimiser steps, but only {meta['done']} "
                              "training steps")
    if not isinstance(meta["text"], str) or not _DIGEST.fullmatch(meta["text"]):
        raise CheckpointError(f"text is {shown(meta['text'])}; it must be a checksum of 32 digits")


def _require_arrays(model: ModelConfig, train: TrainConfig, arrays: Mapping[str, Declared],
                    where: object) -> None:
    """Raises CheckpointError unless the arrays belong to this model and optimiser.

    The number of layers is checked first, because a list of the names of 10^8 layers would not fit into
    memory.
    """
    if model.layers > len(arrays):
        raise CheckpointError(f"{where} is of another model: it has {model.layers:,} layers, but only "
                              f"{len(arrays):,} arrays")
    wanted = {f"{kind}/{name}": shape for kind in array_kinds(train)
              for name, shape in rank_shapes(model).items()}
    require_match(wanted, {name: declared.shape for name, declared in arrays.items()}, where)
    for name, (_, dtype) in arrays.items():
        if dtype != np.dtype(train.dtype):
            raise CheckpointError(f"{where}: {name} is of {dtype}, not of {train.dtype}; use another "
                                  "checkpoint")
