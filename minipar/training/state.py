"""Defines the content of a training's checkpoint: whole arrays, independent of the layout, and metadata.

The arrays are the weights and each state array of the optimiser. Examples of names:
`weights/blocks.0.mlp.up.weight`, `optimizer/squares/blocks.0.mlp.up.weight`.
"""

# dp, tp, pp: the axes of data, tensor and pipeline parallelism

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np

from minipar.checkpoint.match import require_match
from minipar.comm.protocol import Communicator
from minipar.config import ModelConfig
from minipar.errors import CheckpointError
from minipar.optim import Optimizer, ParameterStore
from minipar.parallel.gather_parameters import gather_stages, gather_whole
from minipar.parallel.stages import Stages
from minipar.plan.parameters import rank_shapes

TrainingState = tuple[dict[str, np.ndarray], dict[str, Any]]        # arrays and metadata


def gather_arrays(store: ParameterStore, optimizer: Optimizer, stages: Stages,
                  dp: Communicator) -> dict[str, np.ndarray]:
    """Returns the whole arrays on world rank 0, and {} on other ranks. All ranks of dp, tp and pp call this
    function.
    """
    arrays = {}
    for kind, read in _readers(store, optimizer).items():
        own = read()                                                # all ranks of dp call this
        for p in store.parameters if dp.rank == 0 else ():          # other ranks hold equal arrays
            whole = None if p.name in stages.copies else gather_whole(p, own[p.name], stages.tp)
            if whole is not None:
                arrays[f"{kind}/{p.name}"] = whole
    return gather_stages(arrays, stages.pp) if dp.rank == 0 else {}


def load_arrays(store: ParameterStore, optimizer: Optimizer, arrays: Mapping[str, np.ndarray]) -> None:
    """Set the weights and the optimiser's state from the whole arrays of a checkpoint."""
    def own(kind: str) -> dict[str, np.ndarray]:
        return {p.name: p.own(arrays[f"{kind}/{p.name}"]) for p in store.parameters}

    store.load_weights(own("weights"))
    for slot, state in optimizer.state.items():
        store.load_state(state, own(f"optimizer/{slot}"))


def require_same_model(model: ModelConfig, optimizer: Optimizer, arrays: Mapping[str, np.ndarray],
                       meta: Mapping[str, Any], where: object) -> None:
    """Raises CheckpointError if a checkpoint is of another model, or lacks arrays that this optimiser needs.

    A comparison of shapes is not enough, because a model with another number of heads has weights of the same
    shapes.
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


def _readers(store: ParameterStore,
             optimizer: Optimizer) -> dict[str, Callable[[], dict[str, np.ndarray]]]:
    """Maps each kind of arrays to a function that returns this rank's arrays of this kind by name."""
    return {"weights": store.weights_by_name,
            **{f"optimizer/{slot}": partial(store.state_by_name, state)
               for slot, state in optimizer.state.items()}}
