"""Records intermediate results of a GPT's forward pass: the output of each block, and the attention scores of
each head.

After the pass, the model is the same as before. The attention function is an argument of the model. So
`trace` passes a function that also computes the scores. During the pass, each block object has another
`forward`, which records the block's output.
"""

# B: samples of the batch, T: tokens per sample, D: model width, K: head width
# h, v: numbers of heads and of vocabulary entries on this rank
# t: number of tokens between two pairs of layers on this rank (T without sequence parallelism)

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from minipar.autograd import Tensor, causal_attention, reshape, split, swapaxes, transpose
from minipar.nn import GPT, Block

LATER = -1e9  # exp(LATER) = 0; it is finite, so that LATER - LATER is not NaN


@dataclass
class ForwardTrace:
    """The results of a forward pass. logits: [B, T, v]. hidden: the output [B, t, D] of each block. scores:
    the attention scores [B, h, T, T] of each layer, or [] if they are not requested.
    """

    logits: Tensor
    hidden: list[Tensor] = field(default_factory=list)
    scores: list[Tensor] = field(default_factory=list)


def attention_scores(qkv: Tensor, heads: int) -> Tensor:
    """Returns q k^T / sqrt(K). If the key comes after the query, the score is a large negative number.

    qkv [B, T, 3 h K] -> [B, h, T, T].
    """
    B, T, width = qkv.shape
    K = width // 3 // heads
    q, k, _ = (transpose(reshape(part, (B, T, heads, K)), (0, 2, 1, 3))
               for part in split(qkv, [heads * K] * 3, axis=-1))
    scores = q @ swapaxes(k, -1, -2) * (1 / math.sqrt(K))
    seen = np.tri(T, dtype=bool)
    return scores * seen.astype(qkv.dtype) + Tensor(np.where(seen, 0, LATER).astype(qkv.dtype))


def trace(model: GPT, tokens: np.ndarray, *, attention: bool = False) -> ForwardTrace:
    """Runs a forward pass of tokens [B, T] and returns its results. attention: if true, the scores are
    computed (a second time) and returned, too.
    """
    found = ForwardTrace(Tensor(np.empty(0)))

    def core(qkv: Tensor, heads: int) -> Tensor:
        if attention:
            found.scores.append(attention_scores(qkv, heads))
        return causal_attention(qkv, heads)

    def watched(block: Block) -> Callable[..., Tensor]:
        original = block.forward

        def forward(*args: object, **kwargs: object) -> Tensor:
            found.hidden.append(original(*args, **kwargs))          # type: ignore[arg-type]
            return found.hidden[-1]
        return forward

    for block in model.blocks:
        vars(block)["forward"] = watched(block)
    try:
        found.logits = model(tokens, attend=lambda layer: core)
    finally:
        for block in model.blocks:
            del vars(block)["forward"]
    return found
