"""Reads the gradients that another framework wrote: one file per rank, and layout.json.

A folder contains

    layout.json            {"dp": 1, "tp": 2, "pp": 1}
    rank0.safetensors      each rank's gradients with GPT-2's names; .npz is possible, too
    rank1.safetensors
    weights.safetensors    the whole weights, also .npz; may be in another folder
    batch.npz              inputs and targets, integers [B, T]; may be in another folder

Ranks are numbered as in Megatron-LM and in minipar: tp is the fastest axis, then dp, then pp. For example,
with dp 2 and tp 2, ranks 0 and 1 are a group of tp, ranks 0 and 2 a group of dp. layout.json may also contain

    "micro_batches": 4             the number of micro-batches
    "heads": 12                    attention heads; by default the width / 64
    "dialect": "nanogpt"           linear weights are [outputs, inputs], as in PyTorch's nn.Linear
    "qkv": "interleaved"           columns of qkv as in Megatron-LM: for each head its q, k and v; by default
                                   "by part": q of all heads of the rank, then k, then v
    "loss": 2.3456                 the loss, which is then compared, too
    "shards": {"wte.weight": null} the sharded axis of a parameter, if not the usual one; null: not sharded
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minipar.autograd import IGNORE
from minipar.checkpoint.gpt2 import read_arrays
from minipar.config import ModelConfig
from minipar.errors import CheckpointError, ConfigError, shown
from minipar.nn.gpt2_names import DIALECTS, our_name
from minipar.records import is_whole
from minipar.untrusted.files import GIB, MIB, opened
from minipar.untrusted.plain import parse_json

AXES = ("pp", "dp", "tp")                                           # slowest first
KEYS = {*AXES, "micro_batches", "heads", "dialect", "qkv", "loss", "shards"}
QKV_ORDERS = "by part", "interleaved"
MOST_RANKS, LARGEST_BATCH = 4096, 64 * MIB
OTHERS_IGNORE = -100  # PyTorch's number for a target that does not count


@dataclass(frozen=True)
class FileLayout:
    """The content of layout.json."""

    pp: int = 1
    dp: int = 1
    tp: int = 1
    micro_batches: int = 1
    heads: int | None = None
    dialect: str = "huggingface"
    qkv: str = QKV_ORDERS[0]
    loss: float | None = None
    shards: Mapping[str, int | None] | None = None

    @property
    def ranks(self) -> int:
        return self.pp * self.dp * self.tp

    def at(self, rank: int) -> dict[str, int]:
        """The coordinates of a rank."""
        index = np.unravel_index(rank, (self.pp, self.dp, self.tp))
        return dict(zip(AXES, map(int, index), strict=True))

    def groups(self, axis: str) -> list[list[int]]:
        """The groups of ranks that differ only along this axis."""
        numbers = np.arange(self.ranks).reshape(self.pp, self.dp, self.tp)
        lines = np.moveaxis(numbers, AXES.index(axis), -1).reshape(-1, getattr(self, axis))
        return [[int(rank) for rank in line] for line in lines]


def read_layout(path: Path) -> FileLayout:
    """The content of layout.json. Raises CheckpointError for a file that is missing or invalid."""
    try:
        with opened(path, MIB, CheckpointError) as file:
            found = parse_json(file.read(), path, CheckpointError)
    except FileNotFoundError:
        raise CheckpointError(f"there is no {path}; write one with the sizes of the layout, such as "
                              '{"dp": 1, "tp": 2, "pp": 1}') from None
    if not isinstance(found, dict):
        raise CheckpointError(f'{path} holds no JSON object; write for example {{"dp": 1, "tp": 2, "pp": 1}}')
    if unknown := sorted(set(found) - KEYS):
        raise CheckpointError(f"{path}: {shown(unknown[0])} is unknown; known are {', '.join(sorted(KEYS))}")
    for name in (*AXES, "micro_batches", "heads"):
        if name in found and not (is_whole(found[name]) and 1 <= found[name] <= MOST_RANKS):
            raise CheckpointError(f"{path}: {name} is {shown(found[name])}; write a whole number from 1 to "
                                  f"{MOST_RANKS}")
    for name, choices in (("dialect", DIALECTS), ("qkv", QKV_ORDERS)):
        if found.get(name, choices[0]) not in choices:
            raise CheckpointError(f"{path}: {name} is {shown(found[name])}; choose {' or '.join(choices)}")
    if not isinstance(found.get("loss", 0.0), (int, float)):
        raise CheckpointError(f"{path}: loss is {shown(found['loss'])}; write a number")
    shards = found.get("shards", {})
    if not isinstance(shards, dict) or any(axis not in (0, 1, None) for axis in shards.values()):
        raise CheckpointError(f"{path}: shards gives each name an axis, 0, 1 or null")
    layout = FileLayout(**found)
    if layout.ranks > MOST_RANKS:
        raise CheckpointError(f"{path}: {layout.ranks:,} ranks, more than {MOST_RANKS:,}")
    return layout


def rank_files(folder: Path, ranks: int) -> list[Path]:
    """The files rank0, rank1, ... of a folder. Raises CheckpointError if one is missing, or if there are
    more.
    """
    found = {int(match[1]): path for path in sorted(folder.iterdir())
             if (match := re.fullmatch(r"rank(\d{1,6})\.(npz|safetensors)", path.name))}
    missing = [rank for rank in range(ranks) if rank not in found]
    if missing or len(found) > ranks:
        what = f"rank{missing[0]}.safetensors is missing" if missing else f"there are {len(found)} files"
        raise CheckpointError(f"{folder} must have one file of gradients for each of {ranks} rank(s): {what}")
    return [found[rank] for rank in range(ranks)]


def read_gradients(files: Sequence[Path], config: ModelConfig,
                   layout: FileLayout) -> list[dict[str, np.ndarray]]:
    """Each rank's gradients with minipar's names; linear weights are [inputs, outputs].

    Raises CheckpointError and ShapeError.
    """
    ranks = []
    for path in files:
        arrays: dict[str, np.ndarray] = {}
        for name, array in read_arrays(path, "f", 16 * GIB).items():
            if config.tied and name.endswith("lm_head.weight"):     # another name of the token table
                continue
            ours, matrix = our_name(config, name)
            flip = matrix and layout.dialect == "nanogpt" and array.ndim == 2
            array = array.T if flip else array
            if layout.qkv == "interleaved" and ".attention.qkv." in ours:
                array = by_part(array, config.head_width)
            arrays[ours] = array
        ranks.append(arrays)
    return ranks


def by_part(array: np.ndarray, head_width: int) -> np.ndarray:
    """The last axis reordered from [q0 k0 v0 q1 k1 v1 ...] (by heads) to [q0 q1 ... k0 k1 ... v0 v1 ...].

    An array whose last axis does not hold whole heads is returned unchanged; its size is reported later.
    """
    if not array.ndim or array.shape[-1] % (3 * head_width):
        return array
    heads = array.reshape(*array.shape[:-1], -1, 3, head_width)     # [..., heads, 3, K]
    parts: np.ndarray = heads.swapaxes(-3, -2).reshape(array.shape)
    return parts


def read_batch(path: Path, config: ModelConfig) -> tuple[np.ndarray, np.ndarray]:
    """inputs and targets, integers [B, T]. A target that does not count is -1 or -100 in the file; here it
    is -1.
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
