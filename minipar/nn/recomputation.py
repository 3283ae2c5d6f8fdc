"""How much of a block backward computes again, instead of keeping it.

    none        everything is kept
    selective   only the attention core: its scores grow with T^2 and cost few products (Korthikanti et al.
                2022, section 5)
    full        the whole block; only its input is kept: one more forward pass (Chen et al. 2016)
"""

# B batch, t: this rank's share of T tokens, D model width

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


# What replaces a block's forward: the same function of (x, attention core, dropout), with less on the tape.
RECOMPUTATIONS: dict[str, Callable[[BlockForward], BlockForward]] = {
    "none": keep_all, "selective": recompute_attention, "full": recompute_block,
}
