"""The number of parameters of a GPT, and of the floating-point operations of its matrix products, from its
sizes.

A product [n, k] @ [k, m] has n k m multiply-adds, and a multiply-add counts as 2 FLOPs, as in Kaplan et al.
2020 ("Scaling laws for neural language models", table 1) and in the PaLM paper (Chowdhery et al. 2022,
appendix B). As there, all other operations (softmax, GELU, LayerNorm, additions, look-ups) are not counted.

Counts of attention differ between papers, since a causal mask removes half of the T x T scores:

* `every_pair` counts all scores, as PaLM's 6 N + 12 L H K T per token. Model FLOPs utilisation usually uses
  it.
* `causal_pairs` counts the scores that the mask keeps. Kaplan's context term, 2 L T D per token forward, is
  about the same.
* `computed_pairs` counts the scores that `causal_attention` computes here, block by block of queries.
"""

# B sequences, T tokens each, L layers, D model width, H heads, K head width, F hidden width, V vocabulary

from __future__ import annotations

from collections.abc import Callable

from minipar.autograd.fused.attention import QUERIES
from minipar.config import ModelConfig

Pairs = Callable[[int], int]  # T -> pairs of a query and a key per head and sequence


def parameter_counts(config: ModelConfig) -> dict[str, int]:
    """The number of elements by kind, over all layers. A tied head counts only as "tokens".

    >>> parameter_counts(ModelConfig(vocabulary=10, context=4, layers=1, heads=1, width=2))
    {'tokens': 20, 'positions': 8, 'norms': 12, 'qkv': 18, 'out': 6, 'up': 24, 'down': 18, 'head': 0}
    """
    L, D, F, V = config.layers, config.width, config.mlp_width, config.vocabulary
    bias = int(config.bias)
    return {
        "tokens": V * D,
        "positions": config.context * D,
        "norms": (2 * L + 1) * (1 + bias) * D,
        "qkv": L * (D + bias) * 3 * D,
        "out": L * (D + bias) * D,
        "up": L * (D + bias) * F,
        "down": L * (F + bias) * D,
        "head": 0 if config.tied else V * D,
    }


def parameter_count(config: ModelConfig) -> int:
    return sum(parameter_counts(config).values())


def every_pair(T: int) -> int:
    return T * T


def causal_pairs(T: int) -> int:
    """Each token with itself and all earlier ones.

    >>> causal_pairs(3)                                         # (0, 0), (1, 0), (1, 1), (2, 0) and so on
    6
    """
    return T * (T + 1) // 2


def computed_pairs(T: int) -> int:
    """Each block of queries with all keys up to the end of the block."""
    return sum((min(start + QUERIES, T) - start) * min(start + QUERIES, T) for start in range(0, T, QUERIES))


def forward_flops(config: ModelConfig, batch: int, length: int, pairs: Pairs = every_pair) -> dict[str, int]:
    """FLOPs of one forward pass over `batch` sequences of `length` tokens, by kind of product, over all
    layers.
    """
    L, D, F, V = config.layers, config.width, config.mlp_width, config.vocabulary
    n = batch * length
    attention = 2 * L * batch * pairs(length) * D                   # per head K, and H K = D
    return {
        "qkv": 2 * L * n * D * 3 * D,
        "scores": attention,
        "weighted values": attention,
        "out": 2 * L * n * D * D,
        "up": 2 * L * n * D * F,
        "down": 2 * L * n * F * D,
        "head": 2 * n * D * V,
    }


def training_flops(config: ModelConfig, batch: int, length: int, pairs: Pairs = every_pair) -> dict[str, int]:
    """FLOPs of forward and backward together.

    Backward of y = x w has two products: the gradients of x and of w.
    """
    return {kind: 3 * flops for kind, flops in forward_flops(config, batch, length, pairs).items()}
