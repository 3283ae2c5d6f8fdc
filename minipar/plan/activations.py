"""How many bytes of activations backward needs: what the tape holds after the forward pass of one micro-batch.

Two answers. `tape` is exact for this GPT as it is written, from its sizes: every array that some formula of backward closes
over, and no other (a test holds it against what is allocated, to the byte). `published` is the formula of Korthikanti et al.
2022 ("Reducing activation recomputation in large transformer models", equations 1, 2 and 4), for a GPT as Megatron-LM computes it.

They differ, and each term tells why. Per layer, sample and token, in bytes of D:

                                 published, 16 bits         here, 32 bits, F = 4 D, no dropout
    both LayerNorms              4                          8    the normalised rows
    inputs of q k v and up       4                          8    the same rows, scaled and shifted
    q, k and v                   6                          12
    input of the projection      2                          4
    GELU                         8   its input              16   its slope
    input of down                8                          16
    dropout's masks              2                          -    8 with dropout, as factors
    attention                    5 a T / D                  4 H (T + 64)/2 / D   only keys that are not later, one copy
"""

# b samples of a micro-batch, T tokens, n = b T; D model width, H heads, K head width, F hidden width, V vocabulary;
# t, h, f, v: this rank's share of T, H, F, V

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from minipar.config import ModelConfig
from minipar.errors import LayoutError
from minipar.plan.collectives import piece

TOKEN = 8                                                           # bytes of a token's number


def tape(model: ModelConfig, samples: int, itemsize: int, pairs: Callable[[int], int], *, tp: int = 1, rank: int = 0,
         sequence_parallel: bool = False) -> dict[str, int]:
    """Bytes that rank `rank` of `tp` holds between forward and backward of `samples` whole samples, by kind.

    itemsize: bytes of an element. pairs: T -> how many scores per head and sample are kept: `nn.counts.computed_pairs` here.
    With tp > 1 it is taken that some token's row of the vocabulary is on another rank.
    """
    L, D, T, K, n = model.layers, model.width, model.context, model.head_width, samples * model.context
    h, f, v = piece(model.heads, tp, rank), piece(model.mlp_width, tp, rank), piece(model.vocabulary, tp, rank)
    between = samples * piece(T, tp, rank) if sequence_parallel else n          # tokens of what lies between the layer pairs
    elements = {
        "norms": (2 * L + 1) * between * (D + 1),                   # normalised rows, and 1 / deviation
        "inputs": (2 * L + 1) * n * D,                              # of q k v, of up, of the head
        "qkv": L * 3 * n * h * K,
        "scores": L * h * (samples * pairs(T) + n),                 # exponentials, and 1 / their sums
        "attended": L * n * h * K,
        "hidden": L * 2 * n * f,                                    # GELU and its slope
        "masks": ((2 * L + 1) * between * D if model.dropout else 0) + (n * (D + 1) if tp > 1 else 0),
        "logits": n * v + 1,                                        # turned into their gradient, and the loss
    }
    return {kind: itemsize * count for kind, count in elements.items()} | {"tokens": TOKEN * n}


def published(layers: int, width: int, heads: int, tokens: int, samples: int, *, itemsize: int = 2, tp: int = 1,
              sequence_parallel: bool = False) -> Fraction:
    """Bytes of the layers' activations by Korthikanti et al.: L T b D (34 + 5 a T / D) without parallelism, 16 bits.

    Of 34, 10 stay whole under tensor parallelism and 24 are shared out; sequence parallelism shares out all. Their dropout
    masks take one byte whatever the precision; itemsize 4 doubles everything all the same, as the formula is commonly used.
    Raises LayoutError for sequence parallelism on one rank, which would be nothing.
    """
    if sequence_parallel and tp == 1:
        raise LayoutError("sequence parallelism shares activations over tp; with tp=1 there is nobody to share with")
    whole = Fraction(10, tp if sequence_parallel else 1)
    return layers * tokens * samples * width * (whole + Fraction(24, tp) + Fraction(5 * heads * tokens, width * tp)) * itemsize / 2
