"""The parameters of one rank: names and shapes, computed from the model's sizes.

Over tp, the heads, the hidden units and the rows of the vocabulary are sharded as evenly as possible, and the
first ranks have one more. Every other parameter is replicated on all ranks of tp. Over pp, each rank has the
parameters of its stages.
"""

# V vocabulary, D model width, H heads, K head width, F hidden width; v, h, f: this rank's shard of V, H, F

from __future__ import annotations

import math

from minipar.arrays import Shapes
from minipar.config import ModelConfig
from minipar.plan.arguments import checked
from minipar.plan.pieces import piece
from minipar.plan.stages import Share

ITEMSIZE = {"float32": 4, "float64": 8}                             # bytes of an element


def count(shapes: Shapes) -> int:
    """The number of elements of all parameters together."""
    return sum(math.prod(shape) for shape in shapes.values())


@checked
def rank_shapes(model: ModelConfig, tp: int = 1, rank: int = 0, share: Share | None = None) -> Shapes:
    """Name -> shape of each parameter on rank `rank` of `tp`, in the model's order.

    share: the part of the model on its rank of pp, by default all of it.
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
        # a tied table that is there already stays first
        shapes |= {("tokens" if model.tied else "head") + ".weight": (v, D)}
    return shapes


def _norm(name: str, model: ModelConfig) -> Shapes:
    return _with_bias({f"{name}.weight": (model.width,)}, name, model.width, model)


def _linear(name: str, inputs: int, outputs: int, model: ModelConfig) -> Shapes:
    return _with_bias({f"{name}.weight": (inputs, outputs)}, name, outputs, model)


def _with_bias(shapes: Shapes, name: str, width: int, model: ModelConfig) -> Shapes:
    return {**shapes, f"{name}.bias": (width,)} if model.bias else shapes
