"""Defines the ops that take most of a transformer's time. Each op is one node of the tape, with a
hand-written backward.

Every file has two forms of an op. The plain form combines small ops. It defines the result, and tests compare
the fused form with the plain form. The fused form is fast, and its file derives the gradient. Three
properties make the fused forms fast. The list begins with the largest effect:

* one node with few temporary arrays replaces a chain of small ops (GELU works in blocks that stay in the
  cache);
* every product is one two-dimensional matrix product on reshaped arrays;
* sums over rows or columns are matrix-vector products.

`benchmarks/tricks.py` measures each effect.
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
