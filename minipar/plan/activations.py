"""Predicts activation memory: the bytes that the tape holds between forward and backward of one micro-batch.

There are two formulas:

* `TapeBytes` is exact for the GPT of this project. It counts every array that the backward functions keep.
  Tests require that it equals the allocated memory, to the byte. It also covers pipeline stages and
  recomputation.
* `published` is the formula of Korthikanti et al. 2022 ("Reducing activation recomputation in large
  transformer models", equations 1, 2 and 4), for a GPT in Megatron-LM.

The two formulas have different terms. The table shows bytes per layer and token, divided by the model width
D. H is the number of heads, and T the number of tokens:

                                 published, 16 bits         here, 32 bits, F = 4 D, no dropout
    both LayerNorms              4                          8    the normalised rows
    inputs of q k v and up       4                          8    the same rows, scaled and shifted
    q, k and v                   6                          12
    input of the projection      2                          4
    GELU                         8   its input              16   its slope
    input of down                8                          16
    dropout masks                2                          -    (8 with dropout)
    attention                    5 H T / D                  4 H (T + 64)/2 / D

If 64 divides T, attention here keeps only T (T + 64)/2 of the T^2 scores, because a block of 64 queries skips
all keys after the block. Example: D = 64, H = 4, T = 64. All rows except attention add up to 34 bytes
(published) and 64 bytes (here) per element of width. Attention adds 5 * 4 * 64 / 64 = 20 bytes, and 4 * 4 *
64 / 64 = 16 bytes.
"""

# b: samples of a micro-batch. T: tokens. n = b T. D: model width. H: heads. K: head width. F: hidden width.
# V: vocabulary. t, h, f and v: the sizes of this rank's shards of T, H, F and V
# tp: the axis of tensor parallelism

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from minipar.config import ModelConfig
from minipar.errors import LayoutError
from minipar.plan.arguments import LARGEST, checked, require_whole
from minipar.plan.pieces import piece

TOKEN = 8                                                           # bytes of a token


@checked
def tape(model: ModelConfig, samples: int, itemsize: int, pairs: Callable[[int], int], *, tp: int = 1,
         rank: int = 0, sequence_parallel: bool = False, recompute: str = "none") -> dict[str, int]:
    """Returns a dict: kind -> bytes that rank `rank` of `tp` holds between forward and backward of `samples`
    samples.

    The arguments are the same as for TapeBytes.
    """
    return TapeBytes(model, samples, itemsize, pairs, tp, rank, sequence_parallel, recompute).of()


@dataclass(frozen=True)
class TapeBytes:
    """Computes the bytes that rank `rank` of `tp` holds between forward and backward of one micro-batch. All
    methods except `peak` return a dict: kind -> bytes.

    samples: number of samples in the micro-batch. itemsize: bytes of an element. pairs(T): the number of
    attention scores that are kept per head and sample; minipar passes `nn.counts.computed_pairs`. recompute:
    a name in `nn.recomputation.RECOMPUTATIONS`. With tp > 1, the formula assumes that the embedding of at
    least one token is on another rank.
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
        """The number of tokens that this rank holds outside attention and MLP: b t with sequence parallelism,
        otherwise b T.
        """
        return self.samples * piece(self.model.context, self.tp,
                                    self.rank) if self.sequence_parallel else self.n

    def of(self, layers: int | None = None, first: bool = True, last: bool = True) -> dict[str, int]:
        """Returns the bytes of a pipeline stage: kind -> bytes.

        layers: the number of layers of the stage, by default all. first: true if the stage has the embedding.
        last: true if the stage has the head and the loss.
        """
        kinds = Counter({kind: (self.model.layers if layers is None else layers) * size
                         for kind, size in self.block().items()})
        for part, there in ((self.embedding(), first), (self.head(), last)):
            kinds.update(part if there else {})
        return dict(kinds)

    def embedding(self) -> dict[str, int]:
        """Returns the bytes of the embedding, which is on the first stage: kind -> bytes."""
        masks = self.itemsize * self.between * self.model.width if self.model.dropout else 0
        # with tp, one byte per token marks whether its embedding is on another rank
        return {"tokens": TOKEN * self.n, "masks": masks + (self.n if self.tp > 1 else 0)}

    def block(self) -> dict[str, int]:
        """Returns the bytes that one block holds between forward and backward with the chosen recomputation.
        """
        if self.recompute == "full":
            return {"block inputs": self.itemsize * self.between * self.model.width}
        kinds = self.whole_block()
        return {**kinds, "scores": 0} if self.recompute == "selective" else kinds

    def whole_block(self) -> dict[str, int]:
        """Returns the bytes of one block without recomputation: kind -> bytes.

        With recomputation, only the block whose backward is running needs these bytes.
        """
        model, n, between = self.model, self.n, self.between
        D, K = model.width, model.head_width
        h, f = piece(model.heads, self.tp, self.rank), piece(model.mlp_width, self.tp, self.rank)
        elements = {
            "norms": 2 * between * (D + 1),                         # normalised rows; 1 / deviation per row
            "inputs": 2 * n * D,                                    # inputs of q k v and of up
            "qkv": 3 * n * h * K,
            "scores": h * (self.samples * self.pairs(model.context) + n),  # exponentials; 1 / sum of each row
            "attended": n * h * K,
            "hidden": 2 * n * f,                                    # output of GELU, and slope of GELU
            "masks": 2 * between * D if model.dropout else 0,
        }
        return {kind: self.itemsize * count for kind, count in elements.items()}

    def head(self) -> dict[str, int]:
        """Returns the bytes of the last LayerNorm, the head and the loss, which are on the last stage."""
        D, v = self.model.width, piece(self.model.vocabulary, self.tp, self.rank)
        # "logits" is the gradient of the logits (n v elements) and the loss (one element)
        elements = {"norms": self.between * (D + 1), "inputs": self.n * D, "logits": self.n * v + 1}
        return {kind: self.itemsize * count for kind, count in elements.items()}

    def peak(self, in_flight: int, layers: int | None = None, first: bool = True, last: bool = True) -> int:
        """Returns the peak memory of a stage, in bytes. in_flight: the largest number of micro-batches in
        flight, see `schedules.closed_forms.closed_peaks`.

        The peak has three terms:

        1. the tapes of all micro-batches in flight;
        2. the recomputed arrays of one block; with "selective", only the scores, which are recomputed after
           the MLP's arrays are freed;
        3. the temporary arrays of a block: GELU's input (or the gradient of this input), the residual stream,
           and a gradient with the shape of the residual stream.
        """
        again, f = self.whole_block(), piece(self.model.mlp_width, self.tp, self.rank)
        over = sum(self.head().values()) if last else 0  # freed before a block is recomputed
        on_top = {"none": 0, "selective": max(again["scores"] - again["hidden"], 0),
                  "full": max(sum(again.values()) - over, 0)}
        moment = self.itemsize * (self.n * f + 2 * self.between * self.model.width)
        return in_flight * sum(self.of(layers, first, last).values()) + on_top[self.recompute] + moment


@checked
def published(layers: int, width: int, heads: int, length: int, samples: int, *, itemsize: int = 2,
              tp: int = 1, sequence_parallel: bool = False) -> Fraction:
    """Returns the activation bytes of all layers by Korthikanti et al.

    In 16 bits and without parallelism the formula is L T b D (34 + 5 H T / D). Tensor parallelism divides 24
    of the 34 by tp, but not the other 10. Sequence parallelism divides all 34 by tp. A dropout mask takes one
    byte in every precision. This function nevertheless doubles the mask for itemsize 4, because the formula
    is commonly used in this way. With tp=1, sequence parallelism would be a no-op, so the function raises
    LayoutError.

    >>> int(published(layers=1, width=64, heads=4, length=64, samples=1))       # 64 * 64 * (34 + 20)
    221184
    """
    if sequence_parallel and tp == 1:
        raise LayoutError("sequence parallelism divides activations over tp; with tp=1 it does "
                          "nothing; choose tp > 1")
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
