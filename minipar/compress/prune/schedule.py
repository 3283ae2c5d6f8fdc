"""The sparsity per step: it grows gradually, since a network recovers from many small prunings better than
from one large one.
"""

from __future__ import annotations

from minipar.errors import ConfigError


def cubic_sparsity(step: int, *, final: float, steps: int, begin: int = 0, initial: float = 0.0) -> float:
    """The sparsity after `step` steps: s = final + (initial - final) (1 - (step - begin) / steps)^3 (Zhu and
    Gupta 2017).

    `initial` until `begin`, `final` from begin + steps on. In between it grows fast at first, while most
    weights are redundant, and slowly at the end. Raises ConfigError for sparsities outside 0 to 1, final <
    initial, or steps < 1.
    """
    if not (0 <= initial <= final <= 1 and steps >= 1):
        raise ConfigError(f"cubic_sparsity needs 0 <= initial <= final <= 1 and steps >= 1; got initial "
                          f"{initial}, final {final}, steps {steps}")
    progress = min(max((step - begin) / steps, 0.0), 1.0)
    return final + (initial - final) * (1 - progress) ** 3
