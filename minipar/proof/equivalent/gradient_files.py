"""Reads the gradients that another framework wrote: one file per rank, and layout.json.

A folder contains

    layout.json            {"dp": 1, "tp": 2, "pp": 1}
    rank0.safetensors      the gradients of rank 0 with GPT-2's names; .npz is allowed, too
    rank1.safetensors
    weights.safetensors    the whole weights; .npz is allowed, too; may be in another folder
    batch.npz              inputs and targets, integers [B, T]; may be in another folder

Ranks are numbered as in Megatron-LM and in minipar: neighbouring ranks differ in tp first, then in dp, then
in pp. For example, with dp 2 and tp 2, ranks 0 and 1 are a group of tp. Ranks 0 and 2 are a group of dp.
layout.json may also contain

    "micro_batches": 4             the number of micro-batches
    "heads": 12                    attention heads; by default the width / 64
    "dialect": "nanogpt"           weights of linear layers are [outputs, inputs], as in PyTorch's nn.Linear
    "qkv": "interleaved"           the columns of qkv are ordered by heads, as in Megatron-LM: q, k and v of
                                   the first head, then of the next head; by default "by part": q of all
                                   heads of the rank, then k, then v
    "loss": 2.3456                 the loss; if it is given, it is compared, too
    "shards": {"wte.weight": null} the sharded axis of a parameter, if it is not the usual axis; null means
                                   that the parameter is not sharded
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minipar.autograd import IGNORE
from minipar.checkpoint.file_layout import FileLayout
from minipar.checkpoint.gpt2 import read_arrays
from minipar.config import ModelConfig
from minipar.errors import CheckpointError, ConfigError, ShapeError, shown
from minipar.nn.gpt2_names import our_name
from minipar.untrusted.files import GIB, MIB

LARGEST_BATCH = 64 * MIB
OTHERS_IGNORE = -100  # PyTorch marks an ignored target with this number


def read_gradients(files: Sequence[Path], config: ModelConfig,
                   layout: FileLayout) -> list[dict[str, np.ndarray]]:
    """Reads the gradients of each rank. Returns one dict per rank: minipar's name of a parameter -> gradient.
    In the result, weights of linear layers are [inputs, outputs].

    Raises CheckpointError for an invalid file, and ShapeError for a wrong shape.
    """
    ranks = []
    for path in files:
        arrays: dict[str, np.ndarray] = {}
        for name, array in read_arrays(path, "f", 16 * GIB).items():
            if config.tied and name.endswith("lm_head.weight"):     # another name of the token table
                continue
            try:
                ours, matrix = our_name(config, name)
            except ShapeError as error:
                raise ShapeError(f"{path}: {error}", item=name) from None
            if ours in arrays:
                raise CheckpointError(f"{path} holds two arrays {shown(ours)}, with and without a prefix; "
                                      "remove one", item=ours)
            flip = matrix and layout.dialect == "nanogpt" and array.ndim == 2
            array = array.T if flip else array
            if layout.qkv == "interleaved" and ".attention.qkv." in ours:
                array = by_part(array, config.head_width)
            arrays[ours] = array
        ranks.append(arrays)
    return ranks


def by_part(array: np.ndarray, head_width: int) -> np.ndarray:
    """Reorders the last axis from [q0 k0 v0 q1 k1 v1 ...] (by heads) to [q0 q1 ... k0 k1 ... v0 v1 ...]. q0
    stands for the columns of head 0's queries.

    If the last axis does not hold whole heads, the array is returned unchanged. A later check reports its
    size.
    """
    if not array.ndim or array.shape[-1] % (3 * head_width):
        return array
    heads = array.reshape(*array.shape[:-1], -1, 3, head_width)     # [..., heads, 3, K]
    parts: np.ndarray = heads.swapaxes(-3, -2).reshape(array.shape)
    return parts


def read_batch(path: Path, config: ModelConfig) -> tuple[np.ndarray, np.ndarray]:
    """Reads inputs and targets, integers [B, T]. An ignored target is -1 or -100 in the file, and always -1
    in the result.
    """
    arrays: dict[str, Any] = read_arrays(path, "iu", LARGEST_BATCH)
    if set(arrays) != {"inputs", "targets"}:
        named = ", ".join(sorted(arrays)) or "nothing"
        raise CheckpointError(f"{path} holds {named}; give two arrays, inputs and targets")
    inputs, targets = (arrays[name].astype(np.int64) for name in ("inputs", "targets"))
    targets = np.where(targets == OTHERS_IGNORE, IGNORE, targets)
    if inputs.ndim != 2 or inputs.shape != targets.shape or not 0 < inputs.shape[1] <= config.context:
        raise CheckpointError(f"{path}: inputs are {inputs.shape}, targets {targets.shape}; both must be "
                              f"[B, T], with T from 1 to {config.context}")
    for what, array, least in (("inputs", inputs, 0), ("targets", targets, IGNORE)):
        if array.size and not (least <= array.min() and array.max() < config.vocabulary):
            raise ConfigError(f"{path}: {what} holds {array.min()} to {array.max()}; tokens are 0 to "
                              f"{config.vocabulary - 1}")
    return inputs, targets
