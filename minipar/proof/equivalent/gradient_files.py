"""Gradients that another framework wrote, one file per rank, and a small file that says how its ranks lie.

A folder holds

    layout.json            {"dp": 1, "tp": 2, "pp": 1}
    rank0.safetensors      each rank's gradients under GPT-2's names, or .npz
    rank1.safetensors
    weights.safetensors    the whole weights, or .npz; may lie elsewhere
    batch.npz              inputs and targets, integers [B, T]; may lie elsewhere

Ranks are numbered as in Megatron-LM and here: those of tp are neighbours, then those of dp, then those of pp.
layout.json may also say

    "micro_batches": 4             into how many the batch was divided
    "heads": 12                    of attention; left out, it is the width / 64
    "dialect": "nanogpt"           linear layers are [outputs, inputs], as PyTorch's nn.Linear has them
    "loss": 2.3456                 the loss, to be compared too
    "shards": {"wte.weight": null} another axis than usual for a parameter; null: each rank of tp has it whole
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
KEYS = {*AXES, "micro_batches", "heads", "dialect", "loss", "shards"}
MOST_RANKS, LARGEST_BATCH = 4096, 64 * MIB
OTHERS_IGNORE = -100  # PyTorch's mark of a target that does not count


@dataclass(frozen=True)
class FileLayout:
    """What layout.json says."""

    pp: int = 1
    dp: int = 1
    tp: int = 1
    micro_batches: int = 1
    heads: int | None = None
    dialect: str = "huggingface"
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
        """The groups of ranks that differ along the axis alone."""
        numbers = np.arange(self.ranks).reshape(self.pp, self.dp, self.tp)
        lines = np.moveaxis(numbers, AXES.index(axis), -1).reshape(-1, getattr(self, axis))
        return [[int(rank) for rank in line] for line in lines]


def read_layout(path: Path) -> FileLayout:
    """Raises CheckpointError for a file that is missing or says something else."""
    try:
        with opened(path, MIB, CheckpointError) as file:
            found = parse_json(file.read(), path, CheckpointError)
    except FileNotFoundError:
        raise CheckpointError(f"there is no {path}; write one that says how the ranks lie, such as "
                              '{"dp": 1, "tp": 2, "pp": 1}') from None
    if not isinstance(found, dict):
        raise CheckpointError(f'{path} holds no JSON object; write for example {{"dp": 1, "tp": 2, "pp": 1}}')
    if unknown := sorted(set(found) - KEYS):
        raise CheckpointError(f"{path}: {shown(unknown[0])} is unknown; known are {', '.join(sorted(KEYS))}")
    for name in (*AXES, "micro_batches", "heads"):
        if name in found and not (is_whole(found[name]) and 1 <= found[name] <= MOST_RANKS):
            raise CheckpointError(f"{path}: {name} is {shown(found[name])}; write a whole number from 1 to "
                                  f"{MOST_RANKS}")
    if found.get("dialect", DIALECTS[0]) not in DIALECTS:
        raise CheckpointError(f"{path}: dialect is {shown(found['dialect'])}; choose {' or '.join(DIALECTS)}")
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
    """rank0, rank1, ... of a folder. Raises CheckpointError where one is missing or there are more."""
    found = {int(match[1]): path for path in sorted(folder.iterdir())
             if (match := re.fullmatch(r"rank(\d{1,6})\.(npz|safetensors)", path.name))}
    missing = [rank for rank in range(ranks) if rank not in found]
    if missing or len(found) > ranks:
        what = f"rank{missing[0]}.safetensors is missing" if missing else f"there are {len(found)} files"
        raise CheckpointError(f"{folder} should hold the gradients of {ranks} rank(s), one file each: {what}")
    return [found[rank] for rank in range(ranks)]


def read_gradients(files: Sequence[Path], config: ModelConfig,
                   layout: FileLayout) -> list[dict[str, np.ndarray]]:
    """Each rank's gradients under our names, linear layers [inputs, outputs]. Raises CheckpointError and
    ShapeError.
    """
    ranks = []
    for path in files:
        arrays: dict[str, np.ndarray] = {}
        for name, array in read_arrays(path, "f", 16 * GIB).items():
            if config.tied and name.endswith("lm_head.weight"):     # another name of the token table
                continue
            ours, matrix = our_name(config, name)
            flip = matrix and layout.dialect == "nanogpt" and array.ndim == 2
            arrays[ours] = array.T if flip else array
        ranks.append(arrays)
    return ranks


def read_batch(path: Path, config: ModelConfig) -> tuple[np.ndarray, np.ndarray]:
    """inputs and targets, integers [B, T]; targets that do not count are -1 or -100 there, and -1 here."""
    arrays: dict[str, Any] = read_arrays(path, "iu", LARGEST_BATCH)
    if set(arrays) != {"inputs", "targets"}:
        named = ", ".join(sorted(arrays)) or "nothing"
        raise CheckpointError(f"{path} holds {named}; give two arrays, inputs and targets")
    inputs, targets = (arrays[name].astype(np.int64) for name in ("inputs", "targets"))
    targets = np.where(targets == OTHERS_IGNORE, IGNORE, targets)
    if inputs.ndim != 2 or inputs.shape != targets.shape or not 0 < inputs.shape[1] <= config.context:
        raise CheckpointError(f"{path}: inputs are {inputs.shape}, targets {targets.shape}; both should be "
                              f"[B, T], with T from 1 to {config.context}")
    for what, array, least in (("inputs", inputs, 0), ("targets", targets, IGNORE)):
        if array.size and not (least <= array.min() and array.max() < config.vocabulary):
            raise ConfigError(f"{path}: {what} holds {array.min()} to {array.max()}; tokens are 0 to "
                              f"{config.vocabulary - 1}")
    return inputs, targets
