"""Computes the FLOPs utilisation of a step, and the time of a training run, by the definitions of the papers.

Model FLOPs are the FLOPs of the model without recomputation (Chowdhery et al. 2022, appendix B). Hardware
FLOPs include recomputation. Model FLOPs utilisation (MFU) is model FLOPs per second divided by the peak.
Hardware FLOPs utilisation (HFU) is hardware FLOPs per second divided by the peak. The counts include all T x
T scores of attention, also those that the causal mask hides. There are two definitions of hardware FLOPs:

    "counted"       counts every computed matrix product. Selective recomputation repeats the two
                    forward products of the scores: 4 B L T^2 D FLOPs. Full recomputation repeats all forward
                    products except the head, which gives equation 3 of Narayanan et al. 2021
    "korthikanti"   Korthikanti et al. 2022, equation 8: 72 B L T D^2 (1 + T / (3 D) + V / (12 D L)). Its
                    second term is 24 B L T^2 D, twice the term of the model FLOPs (equation 7). So this
                    definition counts the forward and the backward of the scores twice. "counted" counts
                    only their forward twice
"""

# B: samples of the batch, T: tokens per sample, L: layers, D: model width, V: size of the vocabulary

from __future__ import annotations

from minipar.config import ModelConfig, TrainConfig
from minipar.errors import ConfigError
from minipar.plan.counts import forward_flops, training_flops
from minipar.plan.machine import Machine

DEFINITIONS = ("counted", "korthikanti")
SCORES = ("scores", "weighted values")


def model_flops(model: ModelConfig, batch: int) -> int:
    """Returns the FLOPs of one step without recomputation. For a GPT, this is equation 7 of Korthikanti et
    al. 2022.

    >>> gpt, B, T, L, D, V = ModelConfig(51200, 2048, 48, 64, 6144), 4, 2048, 48, 6144, 51200
    >>> model_flops(gpt, B) == 72 * B * L * T * D**2 + 12 * B * L * T**2 * D + 6 * B * T * D * V
    True
    """
    return sum(training_flops(model, batch, model.context).values())


def hardware_flops(model: ModelConfig, train: TrainConfig, definition: str = "counted") -> int:
    """Returns the FLOPs of one step with recomputation. definition: one of DEFINITIONS. Raises ConfigError
    for another definition.
    """
    if definition not in DEFINITIONS:
        raise ConfigError(f"definition is {definition!r}; choose {', '.join(DEFINITIONS)}", item="definition")
    forward = forward_flops(model, train.batch, model.context)
    scores = sum(forward[kind] for kind in SCORES)
    selective = 3 * scores if definition == "korthikanti" else scores
    again = {"none": 0, "selective": selective, "full": sum(forward.values()) - forward["head"]}
    return model_flops(model, train.batch) + again[train.recompute]


def utilisation(flops: float, seconds: float, ranks: int, machine: Machine) -> float:
    """Returns the FLOPs per second as a fraction of the peak: MFU for model FLOPs, HFU for hardware FLOPs."""
    return flops / seconds / ranks / machine.peak


def training_days(model: ModelConfig, batch: int, step_seconds: float, token_count: float) -> float:
    """Returns the days of a training run on `token_count` tokens, if a step of `batch` samples takes
    `step_seconds`.

    >>> round(training_days(ModelConfig(context=2048), batch=1536, step_seconds=20.0, token_count=300e9), 1)
    22.1
    """
    return token_count / (batch * model.context) * step_seconds / 86400


def days_by_narayanan(token_count: float, parameters: float, ranks: int, flops_per_second: float) -> float:
    """Returns the days by equation 4 of Narayanan et al. 2021, for full recomputation: 8 T P / (n X).

    T is token_count, P is parameters, n is ranks, and X is flops_per_second, the FLOPs per second of one
    rank.

    >>> round(days_by_narayanan(300e9, 175e9, 1024, 140e12))                    # the paper says 34 days
    34
    """
    return 8 * token_count * parameters / (ranks * flops_per_second) / 86400
