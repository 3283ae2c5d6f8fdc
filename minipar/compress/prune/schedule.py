"""How much to prune at which step: gradually, since a network recovers from many small cuts better than from
one.
"""

from __future__ import annotations

from minipar.errors import ConfigError


def cubic_sparsity(step: int, *, final: float, steps: int, begin: int = 0, initial: float = 0.0) -> float:
    """The sparsity after `step` steps: s = final + (initial - final) (1 - (step - begin) / steps)^3 (Zhu and
    Gupta 2017).

    `initial` until `begin`, `final` from begin + steps on. In between much is cut while most weights are
    still redundant, and little at the end. Raises ConfigError for sparsities outside 0 to 1, a final one
    below the initial one, or steps < 1.
    """
    if not (0 <= initial <= final <= 1 and steps >= 1):
        raise ConfigError(f"a sparsity grows from initial to final, 0 <= {initial} <= {final} <= 1, over "
                          f"{steps} >= 1 steps: "
                          f"it does not")
    progress = min(max((step - begin) / steps, 0.0), 1.0)
    return final + (initial - final) * (1 - progress) ** 3
