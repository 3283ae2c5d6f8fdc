"""Counts parameters and FLOPs (from minipar.plan.counts), and the scores that this attention computes."""

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
    """Returns the number of pairs that `causal_attention` computes: each block of queries with all keys up to
    its end.
    """
    return sum((min(start + QUERIES, T) - start) * min(start + QUERIES, T) for start in range(0, T, QUERIES))
