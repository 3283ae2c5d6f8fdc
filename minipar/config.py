"""The configurations of a model, a layout and a training run. They are frozen records that check their own
fields.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from minipar.errors import ConfigError, LayoutError, shown
from minipar.records import require_types

LARGEST = 1 << 28  # largest size; a matrix of this size along both axes has less than 2**63 bytes
MOST_RANKS = 1 << 20                                                # largest number of ranks along an axis
MOST_STEPS = 1 << 53  # largest number of steps; a float holds whole numbers up to this one exactly
MOST_WINDOWS = 1 << 20  # largest number of windows in a validation
LARGEST_SEED = (1 << 128) - 1
TOKENIZERS = re.compile("char|byte|bpe:[1-9][0-9]{0,6}")           # bpe:1024: byte pairs, 1,024 tokens


@dataclass(frozen=True)
class ModelConfig:
    """The sizes of a GPT. hidden: the width inside the MLP; 0 for four times the model width, as in GPT-2.

    tied: the output layer uses the matrix of the token embedding. bias: linear layers and LayerNorms have
    biases. dropout: the rate of dropout after the embedding and after each attention and MLP.

    >>> import minipar as mp
    >>> mp.ModelConfig(width=96, heads=6).head_width
    16
    >>> mp.ModelConfig(width=100, heads=6)
    Traceback (most recent call last):
        ...
    minipar.errors.ConfigError: 6 heads do not divide the width 100; choose 5, 4, 2, 10 heads or another width
    """

    vocabulary: int = 256
    context: int = 64
    layers: int = 4
    heads: int = 4
    width: int = 128
    hidden: int = 0
    tied: bool = True
    bias: bool = True
    dropout: float = 0.0

    def __post_init__(self) -> None:
        require_types(self)
        for name in ("vocabulary", "context", "layers", "heads", "width"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {shown(getattr(self, name))}; it must be at least 1", item=name)
        for name in ("vocabulary", "context", "layers", "heads", "width", "hidden"):
            _require_at_most(LARGEST, name, getattr(self, name))
        if self.width % self.heads:
            near = sorted(_divisors(self.width), key=lambda h: (abs(h - self.heads), h))
            choices = ", ".join(map(str, near[:4]))
            raise ConfigError(f"{self.heads} heads do not divide the width {self.width}; choose {choices} "
                              "heads or another width", item="heads")
        if self.hidden < 0:
            raise ConfigError(f"hidden is {shown(self.hidden)}; it must be positive, or 0 for four times the "
                              "width", item="hidden")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout is {self.dropout}; it must be at least 0 and less than 1",
                              item="dropout")

    @property
    def mlp_width(self) -> int:
        return self.hidden or 4 * self.width

    @property
    def head_width(self) -> int:
        return self.width // self.heads


def _require_at_most(most: int, name: str, value: int) -> None:
    if value > most:
        raise ConfigError(f"{name} is {shown(value)}; it must be at most {most:,}", item=name)


def _divisors(n: int) -> set[int]:
    return {divisor for d in range(1, math.isqrt(n) + 1) if n % d == 0 for divisor in (d, n // d)}


def require_precise(model: ModelConfig) -> None:
    """Raises ConfigError for a width of 2, for which gradients cannot be compared.

    A LayerNorm of two numbers returns 1 and -1 for nearly every input, so its gradient is only rounding
    error. Example: it maps both (3, 5) and (3, 9) to (-1, 1).
    """
    if model.width == 2:
        raise ConfigError("a LayerNorm of width 2 returns 1 and -1 for nearly every input, so its gradient "
                          "is only rounding error; choose a --width other than 2")


# the GPT-2 with 124M parameters (Radford et al. 2019)
GPT2 = ModelConfig(vocabulary=50257, context=1024, layers=12, heads=12, width=768)


COMPRESSED = ("int8", "1bit")                                       # ways to sum rounded gradients
GRADIENTS = ("parameter", "flat", "shared", "buckets", "bitwise", *COMPRESSED)


@dataclass(frozen=True)
class Layout:
    """The number of ranks along each axis: data, pipeline, context and tensor parallel.

    sequence_parallel: the ranks of tp also shard LayerNorm, dropout and residual additions, by tokens.

    gradients: the way in which gradients are summed over dp.
    * "parameter" sends one message per parameter, and "flat" sends one message for all parameters.
    * "shared" sums in memory that the ranks of a node share.
    * "buckets" sends several messages while backward still runs.
    * "bitwise" adds the gradients of single samples, always in the same order. So the result has the same
      bits for every dp and any number of micro-batches.
    * "int8" and "1bit" round the gradients to 8 bits or 1 bit per number. The rounding error of a step is
      added to the next gradient (error feedback).

    bucket_bytes: bytes of gradient in one bucket. pipeline: the name of a schedule, or its file. virtual: the
    number of stages per rank; 0 for the schedule's default. stage_layers: the number of layers of each stage;
    () for numbers that are as even as possible. zero: the stage of ZeRO over dp. Stage 1 shards the
    optimiser's state, stage 2 also the gradients, stage 3 also the weights. 0 is data parallelism without
    ZeRO. reshard_after_forward, for zero=3: free the weights after forward and gather them again for
    backward. If it is False, each weight is gathered once per step.

    >>> import minipar as mp
    >>> mp.Layout(dp=2, tp=2, pp=2).ranks
    8
    """

    dp: int = 1
    pp: int = 1
    cp: int = 1
    tp: int = 1
    sequence_parallel: bool = False
    gradients: str = "flat"
    bucket_bytes: int = 1 << 20
    pipeline: str = "1f1b"
    virtual: int = 0
    stage_layers: tuple[int, ...] = ()
    zero: int = 0
    reshard_after_forward: bool = True

    def __post_init__(self) -> None:
        require_types(self)
        for name in ("dp", "pp", "cp", "tp", "bucket_bytes"):
            if getattr(self, name) < 1:
                raise LayoutError(f"{name} is {shown(getattr(self, name))}; it must be at least 1", item=name)
        for name in ("dp", "pp", "cp", "tp", "virtual"):
            if getattr(self, name) > MOST_RANKS:
                raise LayoutError(
                    f"{name} is {shown(getattr(self, name))}; it must be at most {MOST_RANKS:,}",
                    item=name,
                )
        if self.virtual < 0:
            raise LayoutError(f"virtual is {shown(self.virtual)}; it must be positive, or 0 for the "
                              "schedule's default", item="virtual")
        if self.gradients not in GRADIENTS:
            raise LayoutError(f"gradients is {self.gradients!r}; choose {', '.join(GRADIENTS)}",
                              item="gradients")
        self._check_zero()

    def _check_zero(self) -> None:
        if self.zero not in (0, 1, 2, 3):
            raise LayoutError(f"zero is {shown(self.zero)}; choose stage 1, 2 or 3 of ZeRO, or 0 for none",
                              item="zero")
        if self.zero and self.gradients != "flat":
            raise LayoutError(f"zero={self.zero} sums gradients by reduce-scatter, not by gradients "
                              f"{self.gradients}; leave gradients at flat, or choose zero=0",
                              item="gradients")
        if self.zero < 3 and not self.reshard_after_forward:
            raise LayoutError(f"zero={self.zero} keeps the weights whole, so there is nothing to reshard; "
                              "leave reshard_after_forward at its default, or choose zero=3",
                              item="reshard_after_forward")

    @property
    def ranks(self) -> int:
        return self.dp * self.pp * self.cp * self.tp


@dataclass(frozen=True)
class TrainConfig:
    """The options of a training run. The defaults are nanoGPT's recipe for one CPU (Karpathy 2022).

    data: a path, or "" for the documentation of Python. batch: samples per step over all ranks.
    micro_batches: the number of pieces into which a batch is divided. schedule: the schedule of the learning
    rate. Both schedules first rise from nearly 0 (warm-up). Then "cosine" falls to a tenth by the last step,
    and "constant" stays constant. clip: the largest norm of the gradient; 0 for no limit. validate_every,
    save_every: a number of steps. precision: the number format of matrix products; "float32" selects
    `dtype`. loss_scale: the scale for float16; 0 for a dynamic one (see the package `precision`).
    recompute: the activations that backward recomputes: "none", "selective" (attention scores) or "full"
    (whole blocks).

    >>> import minipar as mp
    >>> mp.TrainConfig(batch=8, micro_batches=4).optimizer
    'adamw'
    """

    data: str = ""
    tokenizer: str = "char"
    batch: int = 12
    micro_batches: int = 1
    steps: int = 2000
    lr: float = 1e-3
    schedule: str = "cosine"
    warm_up: int = 100
    optimizer: str = "adamw"
    weight_decay: float = 0.1
    clip: float = 1.0
    dtype: str = "float32"
    precision: str = "float32"
    loss_scale: float = 0.0
    recompute: str = "none"
    seed: int = 0
    validate_every: int = 250
    validation_windows: int = 256
    save_every: int = 250

    def __post_init__(self) -> None:
        require_types(self)
        least = {"batch": 1, "micro_batches": 1, "steps": 1, "warm_up": 0, "validate_every": 1,
                 "validation_windows": 1,
                 "save_every": 1, "weight_decay": 0, "clip": 0, "loss_scale": 0, "seed": 0}
        for name, smallest in least.items():
            if not getattr(self, name) >= smallest:
                raise ConfigError(f"{name} is {shown(getattr(self, name))}; it must be at least {smallest}",
                                  item=name)
        most = {"batch": LARGEST, "micro_batches": LARGEST, "steps": MOST_STEPS, "warm_up": MOST_STEPS,
                "save_every": MOST_STEPS,
                "validate_every": MOST_STEPS, "validation_windows": MOST_WINDOWS, "seed": LARGEST_SEED}
        for name, largest in most.items():
            _require_at_most(largest, name, getattr(self, name))
        if not 0 < self.lr < math.inf:
            raise ConfigError(f"lr is {self.lr}; it must be a positive number", item="lr")
        if self.weight_decay == math.inf:
            raise ConfigError("weight_decay is inf; it must be a number, such as 0.1")
        if self.micro_batches > self.batch:
            raise ConfigError(f"{self.micro_batches} micro-batches of a batch of {self.batch} leave some "
                              f"empty; choose at most {self.batch}", item="micro_batches")
        choices = {"schedule": ("constant", "cosine"),
                   "dtype": ("float32", "float64"), "optimizer": ("sgd", "adagrad", "adam", "adamw"),
                   "precision": ("float32", "float16", "bfloat16"),
                   "recompute": ("none", "selective", "full")}
        for name, names in choices.items():
            if getattr(self, name) not in names:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; choose {', '.join(names)}", item=name)
        if not TOKENIZERS.fullmatch(self.tokenizer):
            raise ConfigError(f"tokenizer is {shown(self.tokenizer)}; choose byte, char, or bpe:1024 (byte "
                              "pairs)", item="tokenizer")
        if self.precision != "float32" and self.dtype != "float32":
            raise ConfigError(f"precision {self.precision} keeps its weights in float32, not {self.dtype}; "
                              "leave dtype out")
        if self.loss_scale and self.precision != "float16":
            raise ConfigError(f"a loss scale is for precision float16, not {self.precision}; leave "
                              "loss_scale out")


# The presets of --preset: values for ModelConfig and TrainConfig. Options of the command line override them.
PRESETS: dict[str, dict[str, object]] = {
    "tiny": dict(layers=3, heads=4, width=96, context=64, batch=12, steps=800, lr=2e-3, warm_up=50,
                 validate_every=100, save_every=200),
    # This preset takes less than two minutes with two ranks on two cores.
    "demo": dict(layers=4, heads=4, width=96, context=64, batch=16, steps=1200, lr=5e-3, warm_up=100,
                 validate_every=200, save_every=400),
    # This preset has nanoGPT's sizes, batch and steps, but twice its learning rate. After 2,000 steps on
    # tinyshakespeare, the doubled rate gives a loss that is 0.09 nats lower.
    "nanogpt-cpu": dict(layers=4, heads=4, width=128, context=64, batch=12, steps=2000, lr=2e-3, bias=False),
    "gpt2": dict(layers=12, heads=12, width=768, context=1024, batch=8, micro_batches=8, steps=1000, lr=6e-4,
                 tokenizer="byte"),
}
