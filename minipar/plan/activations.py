"""How many bytes of activations backward needs: what the tape holds after the forward pass of one
micro-batch.

Two answers. `TapeBytes` is exact for this GPT as it is written, from its sizes: every array that some formula
of backward closes over, and no other (tests hold it against what is allocated, to the byte), for a stage of a
pipeline and with activations computed again, too. `published` is the formula of Korthikanti et al. 2022
("Reducing activation recomputation in large transformer models", equations 1, 2 and 4), for a GPT as
Megatron-LM computes it.

They differ, and each term tells why. Per layer, sample and token, in bytes of D:

                                 published, 16 bits         here, 32 bits, F = 4 D, no dropout
    both LayerNorms              4                          8    the normalised rows
    inputs of q k v and up       4                          8    the same rows, scaled and shifted
    q, k and v                   6                          12
    input of the projection      2                          4
    GELU                         8   its input              16   its slope
    input of down                8                          16
    dropout's masks              2                          -    8 with dropout, as factors
    attention                    5 a T / D                  4 H (T + 64)/2 / D   only keys that are not later,
                                                            one copy
"""

# b samples of a micro-batch, T tokens, n = b T; D model width, H heads, K head width, F hidden width, V
# vocabulary; t, h, f, v: this rank's share of T, H, F, V

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from minipar.config import ModelConfig
from minipar.errors import LayoutError
from minipar.plan.arguments import LARGEST, checked, require_whole
from minipar.plan.pieces import piece

TOKEN = 8                                                           # bytes of a token's number


@checked
def tape(model: ModelConfig, samples: int, itemsize: int, pairs: Callable[[int], int], *, tp: int = 1,
         rank: int = 0, sequence_parallel: bool = False, recompute: str = "none") -> dict[str, int]:
    """Bytes that rank `rank` of `tp` holds between forward and backward of `samples` whole samples, by kind:
    see Tape.
    """
    return TapeBytes(model, samples, itemsize, pairs, tp, rank, sequence_parallel, recompute).of()


@dataclass(frozen=True)
class TapeBytes:
    """What rank `rank` of `tp` holds between forward and backward of one micro-batch, in bytes by kind.

    samples: whole ones. itemsize: bytes of an element. pairs: T -> how many scores per head and sample are
    kept, which is `nn.counts.computed_pairs` here. recompute: a name of `nn.recomputation.RECOMPUTATIONS`.
    With tp > 1 it is taken that some token's row of the vocabulary is on another rank.
    """

    model: ModelConfig
    samples: int
    itemsize: int
    pairs: Callable[[int], int]
    tp: int = 1
    rank: int = 0
    sequence_parallel: bool = False
    recompute: str = "none"

    def __post_init__(self) -> None:
        for name in ("samples", "itemsize", "tp"):
            require_whole(name, getattr(self, name), 1, LARGEST)
        require_whole("rank", self.rank, 0, self.tp - 1)

    @property
    def n(self) -> int:
        return self.samples * self.model.context

    @property
    def between(self) -> int:
        """Tokens of what lies between the layer pairs: b t."""
        return self.samples * piece(self.model.context, self.tp,
                                    self.rank) if self.sequence_parallel else self.n

    def of(self, layers: int | None = None, first: bool = True, last: bool = True) -> dict[str, int]:
        """Of a pipeline stage with so many layers (left out: all of the model's), which may be the first or
        the last.
        """
        kinds = Counter({kind: (self.model.layers if layers is None else layers) * size for kind,
                         size in self.block().items()})
        for part, there in ((self.embedding(), first), (self.head(), last)):
            kinds.update(part if there else {})
        return dict(kinds)

    def embedding(self) -> dict[str, int]:
        """Of what the first stage has besides its blocks."""
        masks = self.itemsize * self.between * self.model.width if self.model.dropout else 0
        # of tokens on other ranks: a byte
        return {"tokens": TOKEN * self.n, "masks": masks + (self.n if self.tp > 1 else 0)}

    def block(self) -> dict[str, int]:
        """Of a block, between its forward and its backward."""
        if self.recompute == "full":
            return {"block inputs": self.itemsize * self.between * self.model.width}
        kinds = self.whole_block()
        return {**kinds, "scores": 0} if self.recompute == "selective" else kinds

    def whole_block(self) -> dict[str, int]:
        """Of a block of which everything is there: with recomputation, of the one that backward is in."""
        model, n, between = self.model, self.n, self.between
        D, K = model.width, model.head_width
        h, f = piece(model.heads, self.tp, self.rank), piece(model.mlp_width, self.tp, self.rank)
        elements = {
            "norms": 2 * between * (D + 1),                         # normalised rows, and 1 / deviation
            "inputs": 2 * n * D,                                    # of q k v, and of up
            "qkv": 3 * n * h * K,
            "scores": h * (self.samples * self.pairs(model.context) + n),  # exponentials, and 1 / their sums
            "attended": n * h * K,
            "hidden": 2 * n * f,                                    # GELU and its slope
            "masks": 2 * between * D if model.dropout else 0,
        }
        return {kind: self.itemsize * count for kind, count in elements.items()}

    def head(self) -> dict[str, int]:
        """Of what the last stage has besides its blocks."""
        D, v = self.model.width, piece(self.model.vocabulary, self.tp, self.rank)
        # their gradient; the loss
        elements = {"norms": self.between * (D + 1), "inputs": self.n * D, "logits": self.n * v + 1}
        return {kind: self.itemsize * count for kind, count in elements.items()}

    def peak(self, in_flight: int, layers: int | None = None, first: bool = True, last: bool = True) -> int:
        """The most that a stage holds, in bytes, when at most so many micro-batches are in flight
        (`schedule.closed_peaks`).

        Beside their tapes: what is computed again, of one block at a time (the scores when its MLP is over
        already); and what is there for a moment at the widest place of a block: GELU's input or its gradient,
        the residual stream, a gradient that waits.
        """
        again, f = self.whole_block(), piece(self.model.mlp_width, self.tp, self.rank)
        over = sum(self.head().values()) if last else 0             # before a block is computed again
        on_top = {"none": 0, "selective": max(again["scores"] - again["hidden"], 0),
                  "full": max(sum(again.values()) - over, 0)}
        moment = self.itemsize * (self.n * f + 2 * self.between * self.model.width)
        return in_flight * sum(self.of(layers, first, last).values()) + on_top[self.recompute] + moment


@checked
def published(layers: int, width: int, heads: int, length: int, samples: int, *, itemsize: int = 2,
              tp: int = 1, sequence_parallel: bool = False) -> Fraction:
    """Bytes of the layers' activations by Korthikanti et al.: L T b D (34 + 5 a T / D) without parallelism,
    16 bits.

    Of 34, 10 stay whole under tensor parallelism and 24 are shared out; sequence parallelism shares out all.
    Their dropout masks take one byte whatever the precision; itemsize 4 doubles everything all the same, as
    the formula is commonly used. Raises LayoutError for sequence parallelism on one rank, which would be
    nothing.
    """
    if sequence_parallel and tp == 1:
        raise LayoutError("sequence parallelism shares activations over tp; with tp=1 there is nobody to "
                          "share with")
    whole = Fraction(10, tp if sequence_parallel else 1)
    return (
        layers
        * length
        * samples
        * width
        * (whole + Fraction(24, tp) + Fraction(5 * heads * length, width * tp))
        * itemsize
        / 2
    )
