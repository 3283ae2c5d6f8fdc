"""Computes the names and shapes of the parameters of one rank from the model's sizes.

Tensor parallelism shards the heads, the hidden units and the rows of the vocabulary as evenly as possible. If
the division has a remainder, the first ranks have one unit more. Every other parameter is replicated on all
ranks of tp. In a pipeline, each rank has the parameters of its stages.
"""

# V: size of the vocabulary, D: model width, H: heads, K: head width, F: hidden width;
# v, h, f: sizes of this rank's shards of V, H, F
# tp, pp: the axes of tensor and pipeline parallelism

from __future__ import annotations

import math

from minipar.arrays import Shapes
from minipar.config import ModelConfig
from minipar.plan.arguments import checked
from minipar.plan.pieces import piece
from minipar.plan.stages import Share

ITEMSIZE = {"float32": 4, "float64": 8}                             # bytes of an element


def count(shapes: Shapes) -> int:
    """Returns the number of elements of all parameters together."""
    return sum(math.prod(shape) for shape in shapes.values())


@checked
def rank_shapes(model: ModelConfig, tp: int = 1, rank: int = 0, share: Share | None = None) -> Shapes:
    """Returns a dict: name -> shape for each parameter on rank `rank` of `tp`, in the model's order.

    share: the part of the model on this rank of pp. The default is the whole model.
    """
    share = share or Share(True, tuple(range(model.layers)), True)
    D, K = model.width, model.head_width
    v, h, f = piece(model.vocabulary, tp, rank), piece(model.heads, tp,
                                                       rank), piece(model.mlp_width, tp, rank)
    shapes: Shapes = {"positions.weight": (model.context, D), "tokens.weight": (v, D)} if share.first else {}
    for layer in share.layers:
        block = f"blocks.{layer}"
        shapes |= _norm(f"{block}.norm1", model)
        shapes |= _linear(f"{block}.attention.qkv", D, 3 * h * K, model)
        shapes |= _linear(f"{block}.attention.out", h * K, D, model)
        shapes |= _norm(f"{block}.norm2", model)
        shapes |= _linear(f"{block}.mlp.up", D, f, model)
        shapes |= _linear(f"{block}.mlp.down", f, D, model)
    if share.last:
        shapes |= _norm("norm", model)
        # if the stage already has the tied table, this does not change the table's place in the dict
        shapes |= {("tokens" if model.tied else "head") + ".weight": (v, D)}
    return shapes


def _norm(name: str, model: ModelConfig) -> Shapes:
    return _with_bias({f"{name}.weight": (model.width,)}, name, model.width, model)


def _linear(name: str, inputs: int, outputs: int, model: ModelConfig) -> Shapes:
    return _with_bias({f"{name}.weight": (inputs, outputs)}, name, outputs, model)


def _with_bias(shapes: Shapes, name: str, width: int, model: ModelConfig) -> Shapes:
    return {**shapes, f"{name}.bias": (width,)} if model.bias else shapes
