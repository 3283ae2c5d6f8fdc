"""Selects the part of a block whose activations are not kept. Backward computes this part again.

    none        no part; all activations are kept
    selective   only the attention core: its scores need memory that grows with T^2, and few products compute
                them again (Korthikanti et al. 2022, section 5)
    full        the whole block; only its input is kept, and backward runs one more forward pass
                (Chen et al. 2016)
"""

# h: heads of this rank, K: head width
# B: samples of the batch, t: this rank's shard of the T tokens, D: model width

from __future__ import annotations

from collections.abc import Callable

from minipar.autograd import Tensor, recompute
from minipar.nn.dropout import Dropout

Attend = Callable[[Tensor, int], Tensor]                            # (qkv [B, T, 3 h K], h) -> [B, T, h K]
# (x [B, t, D], attention core, dropout) -> [B, t, D]
BlockForward = Callable[[Tensor, Attend, Dropout], Tensor]


def keep_all(block: BlockForward) -> BlockForward:
    return block


def recompute_attention(block: BlockForward) -> BlockForward:
    def forward(x: Tensor, attend: Attend, dropout: Dropout) -> Tensor:
        return block(x, lambda qkv, heads: recompute(lambda qkv: attend(qkv, heads), qkv), dropout)
    return forward


def recompute_block(block: BlockForward) -> BlockForward:
    def forward(x: Tensor, attend: Attend, dropout: Dropout) -> Tensor:
        return recompute(lambda x: block(x, attend, dropout), x)
    return forward


# name -> a function that replaces a block's forward by one with the same result and fewer arrays on the tape
RECOMPUTATIONS: dict[str, Callable[[BlockForward], BlockForward]] = {
    "none": keep_all, "selective": recompute_attention, "full": recompute_block,
}
