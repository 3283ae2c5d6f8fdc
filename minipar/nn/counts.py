"""The counts of parameters and FLOPs (minipar.plan.counts), and the scores that attention computes here."""

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
    """Each block of queries with all keys up to the end of the block, as `causal_attention` computes them."""
    return sum((min(start + QUERIES, T) - start) * min(start + QUERIES, T) for start in range(0, T, QUERIES))
