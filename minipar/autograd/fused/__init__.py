"""The ops that take most of a transformer's time. Each is one node, with a backward written by hand.

Every file holds an op twice: as a composition of small ops, which is its definition and its test, and in the
fused form, with the derivation of its gradient. Three things make the fused forms fast, the largest effect
first:

* a chain of small ops becomes one node with few temporary arrays (GELU works in blocks that stay in the
  cache);
* every product is one two-dimensional matrix product on reshaped arrays;
* sums over rows or columns are matrix-vector products.

`benchmarks/tricks.py` measures each.
"""

from minipar.autograd.fused.attention import causal_attention, plain_causal_attention
from minipar.autograd.fused.cross_entropy import cross_entropy, plain_cross_entropy
from minipar.autograd.fused.embedding import (
    embedding,
    plain_embedding,
    plain_unembedding,
    unembedding,
)
from minipar.autograd.fused.gelu import gelu
from minipar.autograd.fused.layernorm import layernorm, plain_layernorm
from minipar.autograd.fused.linear import add_bias, linear, plain_linear

__all__ = [
    "add_bias", "causal_attention", "cross_entropy", "embedding", "gelu", "layernorm", "linear",
    "plain_causal_attention",
    "plain_cross_entropy", "plain_embedding", "plain_layernorm", "plain_linear", "plain_unembedding",
    "unembedding",
]
