"""Defines the sparsity (the fraction of dropped weights) after each step. It grows slowly, because a network
recovers better from many small prunings than from one large pruning.
"""

from __future__ import annotations

from minipar.errors import ConfigError


def cubic_sparsity(step: int, *, final: float, steps: int, begin: int = 0, initial: float = 0.0) -> float:
    """Returns the sparsity after `step` steps: s = final + (initial - final) (1 - (step - begin) / steps)^3
    (Zhu and Gupta 2017).

    Before step `begin` the sparsity is `initial`, and after step begin + steps it is `final`. Between these
    steps it first grows fast, because most weights are redundant, and then slowly. Raises ConfigError for
    sparsities outside 0 to 1, for final < initial, and for steps < 1.
    """
    if not (0 <= initial <= final <= 1 and steps >= 1):
        raise ConfigError(f"cubic_sparsity needs 0 <= initial <= final <= 1 and steps >= 1; got initial "
                          f"{initial}, final {final}, steps {steps}")
    progress = min(max((step - begin) / steps, 0.0), 1.0)
    return final + (initial - final) * (1 - progress) ** 3
