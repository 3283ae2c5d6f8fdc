"""Counts the attention scores that `causal_attention` computes. The counts of parameters and FLOPs come from
minipar.plan.counts.
"""

from __future__ import annotations

from minipar.autograd.fused.attention import QUERIES
from minipar.plan.counts import (
    Pairs,
    causal_pairs,
    every_pair,
    forward_flops,
    parameter_count,
    parameter_counts,
    training_flops,
)

__all__ = ["Pairs", "causal_pairs", "computed_pairs", "every_pair", "forward_flops", "parameter_count",
           "parameter_counts", "training_flops"]


def computed_pairs(T: int) -> int:
    """Returns the number of (query, key) pairs that `causal_attention` computes for T tokens. A block of
    queries uses all keys up to the end of the block.
    """
    return sum((min(start + QUERIES, T) - start) * min(start + QUERIES, T) for start in range(0, T, QUERIES))
