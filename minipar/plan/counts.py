"""Counts the parameters of a transformer, and the floating-point operations of its matrix products.

A product [n, k] @ [k, m] has n k m multiply-adds, and a multiply-add counts as 2 FLOPs. This follows Kaplan
et al. 2020 ("Scaling laws for neural language models", table 1) and the PaLM paper (Chowdhery et al. 2022,
appendix B). Like these papers, the counts leave out all other operations (softmax, GELU, LayerNorm,
additions, look-ups).

A causal mask removes about half of the T x T scores, so papers count attention in two ways:

* `every_pair` counts all scores. PaLM counts in this way: 6 N + 12 L H K T FLOPs per token in forward and
  backward, for N parameters, L layers, and H heads of width K. Model FLOPs utilisation usually uses this
  count.
* `causal_pairs` counts the scores that the mask keeps. Kaplan's term for the context is about equal to this
  count: 2 L T D FLOPs per token in forward, for the width D.
"""

# B: number of sequences, T: tokens per sequence, L: layers, D: model width, H: heads, K: head width,
# F: hidden width, V: size of the vocabulary

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

from minipar.config import ModelConfig
from minipar.errors import ConfigError

Pairs = Callable[[int], int]  # T -> number of (query, key) pairs per head and sequence


@dataclass(frozen=True)
class Architecture(ModelConfig):
    """Holds the sizes of a GPT with parts that minipar can plan but not train.

    gated: if true, the MLP has a third matrix, the gate, as in SwiGLU (Shazeer 2020). kv_heads: the number of
    heads of keys and values in grouped-query attention (Ainslie et al. 2023); 0 means as many heads as the
    queries have. positions: true for a learned table, False for rotary positions, which have no parameters.
    bias: if False, linear layers have no bias, and each norm has one vector, as in RMSNorm.

    >>> parameter_count(Architecture(32000, 4096, 80, 64, 8192, 28672, tied=False, bias=False, gated=True,
    ...                              kv_heads=8, positions=False))              # LLaMA 2, 70B
    68976648192
    """

    gated: bool = False
    kv_heads: int = 0
    positions: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kv_heads < 0 or self.heads % self._kv_heads:
            raise ConfigError(
                f"{self.heads} heads cannot share {self.kv_heads} heads of keys and values; "
                "choose a divisor of the heads, or 0",
                item="kv_heads",
            )

    @property
    def _kv_heads(self) -> int:
        return self.kv_heads or self.heads

    @property
    def kv_width(self) -> int:
        """The width of the keys, and of the values: K times the number of their heads."""
        return self._kv_heads * self.head_width


def architecture(model: ModelConfig) -> Architecture:
    """Converts a model to an Architecture. A GPT of minipar has no gate, no grouped heads, and learned
    positions.
    """
    if isinstance(model, Architecture):
        return model
    return Architecture(**{field.name: getattr(model, field.name) for field in fields(ModelConfig)})


def parameter_counts(config: ModelConfig) -> dict[str, int]:
    """Returns a dict: kind -> number of elements in all layers. A tied head counts only as "tokens".

    >>> parameter_counts(ModelConfig(vocabulary=10, context=4, layers=1, heads=1, width=2))
    {'tokens': 20, 'positions': 8, 'norms': 12, 'qkv': 18, 'out': 6, 'up': 24, 'down': 18, 'head': 0}
    """
    model, bias = architecture(config), int(config.bias)
    L, D, F, V = model.layers, model.width, model.mlp_width, model.vocabulary
    return {
        "tokens": V * D,
        "positions": model.context * D if model.positions else 0,
        "norms": (2 * L + 1) * (1 + bias) * D,
        "qkv": L * (D + bias) * (D + 2 * model.kv_width),
        "out": L * (D + bias) * D,
        "up": L * (D + bias) * F * (1 + model.gated),
        "down": L * (F + bias) * D,
        "head": 0 if model.tied else V * D,
    }


def parameter_count(config: ModelConfig, *, final_norm: bool = True) -> int:
    """Returns the number of all parameters. final_norm: False leaves out the last LayerNorm, as in equation 2
    of Narayanan et al. 2021: 12 L D^2 (1 + 13/(12 D) + (V + T)/(12 L D)).

    >>> gpt = ModelConfig(51200, 2048, 96, 96, 12288)
    >>> parameter_count(gpt) - parameter_count(gpt, final_norm=False)           # 2 D
    24576
    """
    whole = sum(parameter_counts(config).values())
    return whole if final_norm else whole - (1 + config.bias) * config.width


def every_pair(T: int) -> int:
    return T * T


def causal_pairs(T: int) -> int:
    """Returns the number of pairs of a token with itself or an earlier token.

    >>> causal_pairs(3)                                         # (0, 0), (1, 0), (1, 1), (2, 0) and so on
    6
    """
    return T * (T + 1) // 2


def forward_flops(config: ModelConfig, batch: int, length: int, pairs: Pairs = every_pair) -> dict[str, int]:
    """Returns a dict: kind of product -> FLOPs of all layers in one forward pass over `batch` sequences of
    `length` tokens.
    """
    model = architecture(config)
    L, D, F, V = model.layers, model.width, model.mlp_width, model.vocabulary
    n = batch * length
    attention = 2 * L * batch * pairs(length) * D  # K multiply-adds per pair and head; H K = D
    return {
        "qkv": 2 * L * n * D * (D + 2 * model.kv_width),
        "scores": attention,
        "weighted values": attention,
        "out": 2 * L * n * D * D,
        "up": 2 * L * n * D * F * (1 + model.gated),
        "down": 2 * L * n * F * D,
        "head": 2 * n * D * V,
    }


def training_flops(config: ModelConfig, batch: int, length: int, pairs: Pairs = every_pair) -> dict[str, int]:
    """Returns a dict: kind of product -> FLOPs of forward and backward together.

    Backward of y = x w has two products: one for the gradient of x, one for the gradient of w.
    """
    return {kind: 3 * flops for kind, flops in forward_flops(config, batch, length, pairs).items()}
