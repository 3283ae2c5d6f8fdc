"""The content of a training's checkpoint: whole arrays, independent of the layout, and metadata.

The arrays are the weights and each state array of the optimiser. Examples of names:
`weights/blocks.0.mlp.up.weight`, `optimizer/squares/blocks.0.mlp.up.weight`. On a rank, its shards of all
arrays are views into a few flat buffers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from minipar.checkpoint.match import require_match
from minipar.config import ModelConfig
from minipar.errors import CheckpointError
from minipar.nn import Parameter
from minipar.optim import Flat, Optimizer
from minipar.parallel.gather_parameters import gather_stages, gather_whole
from minipar.parallel.stages import Stages
from minipar.plan.parameters import rank_shapes

TrainingState = tuple[dict[str, np.ndarray], dict[str, Any]]        # arrays and metadata


class SavedArray(NamedTuple):
    """One array of a checkpoint. name: in the checkpoint. own: this rank's shard of it, a view."""

    name: str
    parameter: Parameter
    own: np.ndarray


def saved_arrays(flat: Flat, optimizer: Optimizer) -> list[SavedArray]:
    """This rank's shards of all arrays of a checkpoint."""
    views = {kind: flat.by_name(buffer) for kind, buffer in _buffers(flat, optimizer).items()}
    return [SavedArray(f"{kind}/{p.name}", p, arrays[p.name])
            for kind, arrays in views.items() for p in flat.parameters]


def gather_arrays(flat: Flat, optimizer: Optimizer, stages: Stages) -> dict[str, np.ndarray]:
    """The whole arrays on rank 0 of tp and pp, {} on the others. All ranks of tp and pp call it."""
    arrays = {}
    for name, parameter, own in saved_arrays(flat, optimizer):
        whole = None if parameter.name in stages.copies else gather_whole(parameter, own, stages.tp)
        if whole is not None:
            arrays[name] = whole
    return gather_stages(arrays, stages.pp)


def require_same_model(model: ModelConfig, optimizer: Optimizer, arrays: Mapping[str, np.ndarray],
                       meta: Mapping[str, Any], where: object) -> None:
    """Raises CheckpointError if a checkpoint is of another model, or lacks arrays that this optimiser needs.

    Comparing only shapes is not enough: a model with another number of heads has weights of the same shapes.
    """
    saved = meta["model"]
    wrong = [f"{name} {saved.get(name)}, not {value}" for name, value in asdict(model).items()
             if name != "dropout" and saved.get(name) != value]
    if wrong:
        raise CheckpointError(f"{where} is of another model: it has {', '.join(wrong)}; "
                              "resume with the sizes it was trained with, or start a new run")
    kinds = ["weights", *(f"optimizer/{slot}" for slot in optimizer.state)]
    require_match({f"{kind}/{name}": shape for kind in kinds for name, shape in rank_shapes(model).items()},
                  {name: array.shape for name, array in arrays.items()}, where)


def _buffers(flat: Flat, optimizer: Optimizer) -> dict[str, np.ndarray]:
    return {"weights": flat.data, **{f"optimizer/{slot}": array for slot, array in optimizer.state.items()}}
