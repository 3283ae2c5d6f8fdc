"""Computes the number of parameters of each pipeline stage on one rank of tp, by a closed form.

`rank_shapes` lists the shapes of the same parameters. Matrices are divided over tp. The biases of
column-parallel layers are divided, too. Every rank of tp has all LayerNorms, the biases of row-parallel
layers and the position embedding.
"""

# D: model width, F: hidden width, V: size of the vocabulary
# tp, pp: the axes of tensor and pipeline parallelism

from __future__ import annotations

from functools import lru_cache

from minipar.config import Layout, ModelConfig
from minipar.plan.counts import architecture
from minipar.plan.pieces import largest_piece
from minipar.plan.stages import stages_of


@lru_cache(maxsize=1 << 12)
def layer_parameters(model: ModelConfig, tp: int) -> int:
    """Returns the number of parameters of one layer on rank 0 of tp.

    >>> layer_parameters(ModelConfig(width=8, heads=2), 1), layer_parameters(ModelConfig(width=8, heads=2), 2)
    (872, 460)
    """
    sizes, bias = architecture(model), int(model.bias)
    D, F, K = sizes.width, largest_piece(sizes.mlp_width, tp), sizes.head_width
    queries = largest_piece(sizes.heads, tp) * K
    keys = largest_piece(sizes.kv_heads or sizes.heads, tp) * K
    qkv = (D + bias) * (queries + 2 * keys)
    mlp = (D + bias) * F * (1 + sizes.gated) + (F + bias) * D
    return qkv + (queries + bias) * D + mlp + 2 * (1 + bias) * D


@lru_cache(maxsize=1 << 12)
def end_parameters(model: ModelConfig, tp: int) -> tuple[int, int]:
    """Returns two numbers for rank 0 of tp: the parameters of the embedding, and the parameters of the last
    LayerNorm and the head.

    A tied head uses the table of the token embedding. Both numbers include this table, because the first and
    the last rank of a pipeline have one copy each.
    """
    sizes = architecture(model)
    table = largest_piece(sizes.vocabulary, tp) * sizes.width
    return table + sizes.positions * sizes.context * sizes.width, table + (1 + sizes.bias) * sizes.width


@lru_cache(maxsize=1 << 14)
def rank_parameters(model: ModelConfig, layout: Layout) -> tuple[int, ...]:
    """Returns the number of parameters of each rank of pp, on rank 0 of tp. Raises the errors of `stages_of`.
    """
    stages = stages_of(model, layout)
    first, last = end_parameters(model, layout.tp)
    of_ranks = [0] * layout.pp
    for owner, layers in zip(stages.stage_to_rank, stages.layers, strict=True):
        of_ranks[owner] += len(layers) * layer_parameters(model, layout.tp)
    of_ranks[stages.stage_to_rank[0]] += first
    of_ranks[stages.stage_to_rank[-1]] += last
    if model.tied and stages.stage_to_rank[0] == stages.stage_to_rank[-1]:
        of_ranks[stages.stage_to_rank[0]] -= largest_piece(model.vocabulary, layout.tp) * model.width
    return tuple(of_ranks)


@lru_cache(maxsize=1 << 14)
def largest_share(model: ModelConfig, layout: Layout) -> int:
    """Returns the number of parameters of the rank that has the most parameters.

    >>> from minipar.plan.models import MODELS
    >>> largest_share(MODELS["gpt3-175b"], Layout(tp=8, pp=8))  # 12 layers and the token embedding
    2822731776
    """
    return max(rank_parameters(model, layout))
