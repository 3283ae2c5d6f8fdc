"""FLOPs utilisation of a step, and the time of a training, by the definitions of the papers.

Model FLOPs are those of the mathematics, without recomputation (Chowdhery et al. 2022, appendix B); hardware
FLOPs are those that are computed. MFU and HFU divide them by the peak. All scores of attention count.

    "counted"       every matrix product that is computed. Selective recomputation computes two of the six
                    products of the scores again, 4 B L T^2 D; full recomputation all forward products but
                    the head's, which gives equation 3 of Narayanan et al. 2021
    "korthikanti"   Korthikanti et al. 2022, equation 8: 72 B L T D^2 (1 + T / 3 D + V / 12 D L). Its second
                    term is 24 B L T^2 D, twice that of the model FLOPs (equation 7). That would be forward
                    and backward of the scores again, not only their forward
"""

# B batch, T tokens, L layers, D model width, V vocabulary

from __future__ import annotations

from minipar.config import ModelConfig, TrainConfig
from minipar.errors import ConfigError
from minipar.plan.counts import forward_flops, training_flops
from minipar.plan.machine import Machine

DEFINITIONS = ("counted", "korthikanti")
SCORES = ("scores", "weighted values")


def model_flops(model: ModelConfig, batch: int) -> int:
    """FLOPs of one step without recomputation: Korthikanti et al. 2022, equation 7, for a GPT.

    >>> gpt, B, T, L, D, V = ModelConfig(51200, 2048, 48, 64, 6144), 4, 2048, 48, 6144, 51200
    >>> model_flops(gpt, B) == 72 * B * L * T * D**2 + 12 * B * L * T**2 * D + 6 * B * T * D * V
    True
    """
    return sum(training_flops(model, batch, model.context).values())


def hardware_flops(model: ModelConfig, train: TrainConfig, definition: str = "counted") -> int:
    """FLOPs of one step with recomputation, by one of DEFINITIONS. Raises ConfigError for another one."""
    if definition not in DEFINITIONS:
        raise ConfigError(f"definition is {definition!r}; choose {', '.join(DEFINITIONS)}", item="definition")
    forward = forward_flops(model, train.batch, model.context)
    scores = sum(forward[kind] for kind in SCORES)
    selective = 3 * scores if definition == "korthikanti" else scores
    again = {"none": 0, "selective": selective, "full": sum(forward.values()) - forward["head"]}
    return model_flops(model, train.batch) + again[train.recompute]


def utilisation(flops: float, seconds: float, ranks: int, machine: Machine) -> float:
    """FLOPs of a step as a fraction of the peak: MFU for model FLOPs, HFU for hardware FLOPs."""
    return flops / seconds / ranks / machine.peak


def training_days(model: ModelConfig, batch: int, step_seconds: float, tokens: float) -> float:
    """Days for so many tokens, at so many seconds per step of `batch` samples.

    >>> round(training_days(ModelConfig(context=2048), batch=1536, step_seconds=20.0, tokens=300e9), 1)
    22.1
    """
    return tokens / (batch * model.context) * step_seconds / 86400


def days_by_narayanan(tokens: float, parameters: float, ranks: int, flops_per_second: float) -> float:
    """Narayanan et al. 2021, equation 4: 8 T P / (n X), for full recomputation. flops_per_second: per rank.

    >>> round(days_by_narayanan(300e9, 175e9, 1024, 140e12))                    # the paper's 34 days
    34
    """
    return 8 * tokens * parameters / (ranks * flops_per_second) / 86400
