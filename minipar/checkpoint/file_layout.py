"""Reads a folder with layout.json and one file per rank.

    layout.json            {"dp": 1, "tp": 2, "pp": 1}
    rank0.safetensors      the arrays of rank 0; .npz is possible, too
    rank1.safetensors

Ranks are numbered as in Megatron-LM and in minipar: tp is the fastest axis, then dp, then pp. Two commands
use such folders: `minipar compare` reads gradients (proof/equivalent/gradient_files.py), `minipar reshard`
reads and writes weights and the optimiser's state (training/rank_files.py).
"""

# dp, tp, pp: the axes of data, tensor and pipeline parallelism

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minipar.errors import CheckpointError, shown
from minipar.nn.gpt2_names import DIALECTS
from minipar.records import is_number, is_whole
from minipar.untrusted.files import MIB, read_bytes
from minipar.untrusted.plain import parse_json

AXES = ("pp", "dp", "tp")                                           # slowest first
KEYS = {*AXES, "micro_batches", "heads", "dialect", "qkv", "loss", "shards"}
QKV_ORDERS = "by part", "interleaved"
MOST_RANKS = 4096
_RANK = re.compile(r"rank(\d{1,6})\.(npz|safetensors)", re.ASCII)


@dataclass(frozen=True)
class FileLayout:
    """Holds the content of layout.json.

    dialect: the names of the weights, see nn/gpt2_names.py. qkv: the order of the columns of q, k and v.
    shards: name -> the axis that tp shards, or None. proof/equivalent/gradient_files.py describes these
    fields.
    """

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
        """Return the coordinates of a rank."""
        index = np.unravel_index(rank, (self.pp, self.dp, self.tp))
        return dict(zip(AXES, map(int, index), strict=True))

    def groups(self, axis: str) -> list[list[int]]:
        """Return the groups of ranks that differ only along this axis."""
        numbers = np.arange(self.ranks).reshape(self.pp, self.dp, self.tp)
        lines = np.moveaxis(numbers, AXES.index(axis), -1).reshape(-1, getattr(self, axis))
        return [[int(rank) for rank in line] for line in lines]


def read_layout(path: Path) -> FileLayout:
    """Read layout.json. Raises CheckpointError for a file that is missing or invalid."""
    try:
        found = parse_json(read_bytes(path, MIB, CheckpointError), path, CheckpointError)
    except FileNotFoundError:
        raise CheckpointError(f"there is no {path}; write one with the sizes of the layout, such as "
                              '{"dp": 1, "tp": 2, "pp": 1}') from None
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from error
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
    loss = found.get("loss", 0.0)
    if not (is_number(loss) and math.isfinite(loss)):
        raise CheckpointError(f"{path}: loss is {shown(loss)}; write a finite number", item="loss")
    shards = found.get("shards", {})
    if not isinstance(shards, dict) or not all(
            axis is None or is_whole(axis) and axis in (0, 1) for axis in shards.values()):
        raise CheckpointError(f"{path}: shards must give each name an axis: 0, 1 or null", item="shards")
    layout = FileLayout(**found)
    if layout.ranks > MOST_RANKS:
        raise CheckpointError(f"{path}: {layout.ranks:,} ranks, more than {MOST_RANKS:,}")
    return layout


def rank_files(folder: Path, ranks: int) -> list[Path]:
    """Return the files of rank 0, rank 1, ... in a folder.

    Raises CheckpointError if a rank has no file or two files, or if there is a file of a rank beyond `ranks`.
    """
    found: dict[int, Path] = {}
    wanted = f"{folder} must have one file for each of {ranks} rank(s)"
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise CheckpointError(f"cannot read {folder}: {error.strerror}") from error
    for name in names:
        if match := _RANK.fullmatch(name):
            rank = int(match[1])
            if rank in found:
                raise CheckpointError(f"{wanted}, but rank {rank} has {found[rank].name} and {name}")
            if rank >= ranks:
                raise CheckpointError(f"{wanted}, but there is also {name}")
            found[rank] = folder / name
    if missing := [rank for rank in range(ranks) if rank not in found]:
        raise CheckpointError(f"{wanted}: rank{missing[0]}.safetensors is missing (or rank{missing[0]}.npz)")
    return [found[rank] for rank in range(ranks)]
