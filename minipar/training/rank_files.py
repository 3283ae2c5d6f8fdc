"""Writes the state of a training run to files for other programs, one file per rank. It also reads such
files.

A checkpoint holds whole arrays, so it fits every layout. Other frameworks save the arrays of each rank. A
folder of rank files contains

    layout.json        {"pp": 1, "dp": 2, "tp": 2, "heads": 4}, see checkpoint/file_layout.py
    training.json      {"format", "zero", "stage_to_rank", "stage_layers", "meta"}; meta as in a checkpoint
    rank0.npz          the arrays of rank 0, or rank0.safetensors
    rank1.npz          ...

A weight has the same name as in GPT-2's files. The name of an optimiser's state array has a prefix:

    h.0.mlp.c_fc.weight                        this rank's columns of the matrix [inputs, outputs]
    optimizer/squares/h.0.mlp.c_fc.weight      the same elements of Adam's sum of squares

If ZeRO shards an array over dp, a file holds a range [k] of the flattened shard. The ranges of all ranks of
dp, in the order of the ranks, form the shard. If a rank owns no element of a parameter, its file has
no such array.
"""

# k: number of elements of a range
# dp, tp, pp: the axes of data, tensor and pipeline parallelism

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from minipar.arrays import Shapes
from minipar.checkpoint.atomic import replacing
from minipar.checkpoint.contents import META, array_kinds, require_meta, require_sound
from minipar.checkpoint.file_layout import MOST_RANKS, FileLayout, rank_files, read_layout
from minipar.checkpoint.gpt2 import LARGEST_FILE, MOST_ARRAYS, read_arrays, write_arrays
from minipar.checkpoint.match import differences
from minipar.config import ModelConfig, TrainConfig
from minipar.errors import CheckpointError, LayoutError, ScheduleError, shown
from minipar.nn.gpt2_names import gpt2_names
from minipar.parallel.rank_elements import ArrayPart, RankElements, RankLayout, rank_elements
from minipar.plan.parameters import count, rank_shapes
from minipar.records import is_number, is_whole
from minipar.training.state import TrainingState
from minipar.untrusted.arrays import Declared
from minipar.untrusted.files import MIB, read_bytes
from minipar.untrusted.members import MOST_TIMES, ROOM
from minipar.untrusted.plain import parse_json

LAYOUT, CONTENT = "layout.json", "training.json"
SUFFIXES = ("npz", "safetensors")
FORMAT = "minipar rank files 1"
_KEYS = {"format", "zero", "stage_to_rank", "stage_layers", "meta"}
_LARGEST_CONTENT = 16 * MIB                                         # `meta` can contain a large tokenizer
_KEPT = META | {"loss_scale", "loss"}


def write_rank_files(folder: Path, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any],
                     layout: RankLayout, suffix: str = SUFFIXES[0]) -> list[int]:
    """Write the files into an existing folder. Returns the bytes of each rank's arrays.

    `arrays` and `meta` are the content of a checkpoint, see state.py. Raises LayoutError if a rank has no
    elements. Raises CheckpointError if the operating system reports an error.
    """
    model, train = require_meta(meta, "the state")
    if layout.ranks > MOST_RANKS:
        raise LayoutError(f"{layout.ranks:,} ranks need one file each, but at most {MOST_RANKS:,} files are "
                          "allowed; choose a smaller layout", item="layout")
    sizes = []
    for rank in range(layout.ranks):
        parts = _parts(rank_elements(model, layout, rank), model, train)
        held = {theirs: part.take(arrays[ours]) for theirs, (ours, part) in parts.items()}
        write_arrays(folder / f"rank{rank}.{suffix}", held)
        sizes.append(sum(array.nbytes for array in held.values()))
    axes = {"pp": layout.pp, "dp": layout.dp, "tp": layout.tp, "heads": model.heads}
    content = {"format": FORMAT, "zero": layout.zero, "stage_to_rank": layout.stage_to_rank,
               "stage_layers": layout.stage_layers,
               "meta": {name: value for name, value in meta.items() if name in _KEPT}}
    for name, values in ((LAYOUT, axes), (CONTENT, content)):
        with replacing(folder / name) as file:
            file.write((json.dumps(values, indent=1) + "\n").encode())
    return sizes


def read_rank_files(folder: Path) -> tuple[TrainingState, RankLayout]:
    """Returns the whole arrays and the metadata, as in a checkpoint, and the layout of the files.

    All values are checked. Elements that several ranks hold must be bitwise equal. Raises CheckpointError for
    files that are missing, damaged, or of another layout.
    """
    axes = read_layout(folder / LAYOUT)
    content = _read_content(folder / CONTENT)
    model, train = require_meta(content["meta"], folder / CONTENT)
    layout = _layout(axes, content, model, folder)
    files = rank_files(folder, layout.ranks)
    _require_possible(model, files, folder)
    gathered = _Gathered(model, train)
    for rank, path in enumerate(files):
        try:
            parts = _parts(rank_elements(model, layout, rank), model, train)
        except (LayoutError, ScheduleError) as error:
            raise CheckpointError(f"{folder / LAYOUT} and {CONTENT} do not fit: {error}") from error
        wanted = {theirs: Declared(part.shape, np.dtype(train.dtype)) for theirs, (_, part) in parts.items()}
        found = read_arrays(path, "f", LARGEST_FILE, partial(_require_rank, wanted, path))
        gathered.add(rank, path, {ours: (part, found[theirs]) for theirs, (ours, part) in parts.items()})
    return (gathered.arrays, content["meta"]), layout


def _parts(elements: RankElements, model: ModelConfig,
           train: TrainConfig) -> dict[str, tuple[str, ArrayPart]]:
    """Maps a name in a rank's file to the name in a checkpoint, and to the elements of the array on this
    rank.
    """
    names = gpt2_names(model)
    parts: dict[str, tuple[str, ArrayPart]] = {}
    for kind in array_kinds(train):
        held = elements.weights if kind == "weights" else elements.state
        prefix = "" if kind == "weights" else f"{kind}/"
        parts |= {f"{prefix}{names[name]}": (f"{kind}/{name}", part) for name, part in held.items()}
    return parts


class _Gathered:
    """Holds the whole arrays, which are filled rank by rank. `owner` holds, for each element, the first rank
    whose file has the element, or -1.
    """

    def __init__(self, model: ModelConfig, train: TrainConfig) -> None:
        self.arrays = {f"{kind}/{name}": np.zeros(shape, train.dtype) for kind in array_kinds(train)
                       for name, shape in rank_shapes(model).items()}
        self.owner = {name: np.full(array.size, -1, np.int16) for name, array in self.arrays.items()}

    def add(self, rank: int, path: Path, held: Mapping[str, tuple[ArrayPart, np.ndarray]]) -> None:
        """Add the arrays of one rank. Raises CheckpointError if the file of another rank has different bits
        for an element.
        """
        require_sound({name: array for name, (_, array) in held.items()}, path)
        for name, (part, array) in held.items():
            whole, owner = self.arrays[name].reshape(-1), self.owner[name]
            at, values = part.positions().reshape(-1), array.reshape(-1)
            bits = f"i{array.itemsize}"
            known = owner[at] >= 0
            other = known & (whole[at].view(bits) != values.view(bits))
            if other.any():
                first = owner[at[other][0]]
                raise CheckpointError(f"{path}: {name} differs from that of rank {first}, which holds the "
                                      "same elements; write the files of all ranks after the same step",
                                      item=name)
            whole[at], owner[at] = values, np.where(known, owner[at], rank)


def _read_content(path: Path) -> dict[str, Any]:
    """Reads training.json, and checks all keys and types except those of `meta`."""
    try:
        found = parse_json(read_bytes(path, _LARGEST_CONTENT, CheckpointError), path, CheckpointError)
    except FileNotFoundError:
        raise CheckpointError(f"there is no {path}; write the folder with: minipar reshard RUN --out "
                              f"{path.parent}") from None
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        said = found.get("format") if isinstance(found, dict) else found
        raise CheckpointError(f"{path} has the format {shown(said)}, this minipar reads {FORMAT!r}")
    if found.keys() != _KEYS:
        wrong = sorted(found.keys() ^ _KEYS)[0]
        raise CheckpointError(f"{path}: {shown(wrong)} is {'unknown' if wrong in found else 'missing'}")
    for name in ("stage_to_rank", "stage_layers"):
        if not (isinstance(found[name], list) and all(is_whole(one) and one >= 0 for one in found[name])):
            raise CheckpointError(f"{path}: {name} is {shown(found[name])}; write a list of whole numbers")
    if not (is_whole(found["zero"]) and 0 <= found["zero"] <= 3):
        raise CheckpointError(f"{path}: zero is {shown(found['zero'])}; write 0, 1, 2 or 3")
    if not isinstance(found["meta"], dict):
        raise CheckpointError(f"{path}: meta is {shown(found['meta'])}; write an object")
    loss = found["meta"].get("loss")
    if loss is not None and not is_number(loss):
        raise CheckpointError(f"{path}: loss is {shown(loss)}; write a number or null")
    return {**found, "meta": {name: value for name, value in found["meta"].items() if name in _KEPT}}


def _layout(axes: FileLayout, content: Mapping[str, Any], model: ModelConfig, folder: Path) -> RankLayout:
    """Returns the layout of the files. Raises CheckpointError if the two files contradict each other
    or the model.
    """
    usual = FileLayout(pp=axes.pp, dp=axes.dp, tp=axes.tp, heads=axes.heads, loss=axes.loss,
                       micro_batches=axes.micro_batches)
    if axes != usual:
        raise CheckpointError(f"{folder / LAYOUT} has a value of dialect, qkv or shards that only "
                              "minipar compare can read; save the files as Hugging Face does")
    if axes.heads not in (None, model.heads):
        raise CheckpointError(f"{folder / LAYOUT} has {axes.heads} heads, {CONTENT} {model.heads}; both must "
                              "be the same")
    owners, layers = content["stage_to_rank"], content["stage_layers"]
    if len(owners) != len(layers) or set(owners) != set(range(axes.pp)) or sum(layers) != model.layers:
        raise CheckpointError(f"{folder / CONTENT}: stage_to_rank {shown(owners)} and stage_layers "
                              f"{shown(layers)} must give each stage a rank of pp={axes.pp}, and have "
                              f"{model.layers} layers in all")
    return RankLayout(axes.pp, axes.dp, axes.tp, content["zero"], tuple(owners), tuple(layers))


def _require_possible(model: ModelConfig, files: list[Path], folder: Path) -> None:
    """Raises CheckpointError if the files are too small for the model, before memory is allocated for it."""
    try:
        most = sum(MOST_TIMES * os.stat(path).st_size + ROOM for path in files)
    except OSError as error:
        raise CheckpointError(f"cannot read {error.filename}: {error.strerror}") from error
    if model.layers > MOST_ARRAYS or 4 * count(rank_shapes(model)) > most:
        raise CheckpointError(f"{folder / CONTENT} describes a larger model than the files can hold")


def _require_rank(wanted: Mapping[str, Declared], path: Path, found: Mapping[str, Declared]) -> None:
    """Raises CheckpointError unless a file has the arrays of its rank."""
    phrases = differences(_shapes(wanted), _shapes(found))
    phrases += [f"{name} is of {found[name].dtype}, not of {one.dtype}" for name, one in wanted.items()
                if name in found and found[name].dtype != one.dtype]
    if phrases:
        raise CheckpointError(f"{path} is of another rank or layout: {phrases[0]}; {LAYOUT} and {CONTENT} "
                              "define the arrays of each rank", item=phrases[0].split()[0])


def _shapes(declared: Mapping[str, Declared]) -> Shapes:
    return {name: one.shape for name, one in declared.items()}
