"""What can be seen of a wrong training from outside: a ratio, what is wrong, and the layout."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from minipar.errors import ConfigError, shown

# what is wrong -> in words
WHICH = {
    "all": "all gradients",
    "row-biases": "gradients of the biases behind a row-parallel layer",
    "norms": "gradients of LayerNorms",
    "positions": "the gradient of the position table",
    "table": "the gradient of the token table",
    "one-parameter": "the gradient of one parameter",
    "some": "some other gradients",
    "start": "the weights before the first step",
    "forward": "activations, or logits",
    "loss": "the loss",
    "norm": "the norm of the gradient",
    "rate": "the learning rate",
    "later": "later steps alone",
    "optimizer": "weights under AdamW alone",
    "validation": "the validation loss alone",
    "replicas": "copies that drift apart",
    "resume": "what follows a restart",
    "mixed": "mixed precision alone",
    "generation": "generated text alone",
    "memory": "the memory, or the time, alone",
    "hang": "a job that hangs or stops",
}
AXES = ("dp", "tp", "pp", "micro-batches")
VARIES = "varies"  # a ratio that differs from rank to rank, or from element to element
CLOSE = 0.01


@dataclass(frozen=True)
class Symptoms:
    """ratio: wrong over right; a number, VARIES, or None if it is not known. which: keys of WHICH. layout:
    the sizes of AXES, as far as they are known.
    """

    ratio: float | str | None = None
    which: frozenset[str] = frozenset()
    layout: Mapping[str, int] = field(default_factory=dict)


def ratio_of(text: str) -> float | str:
    """A number such as 4, 0.25 or 1/4; or "varies". Raises ConfigError for anything else."""
    if text == VARIES:
        return text
    try:
        value = float(Fraction(text))
    except (ValueError, ZeroDivisionError, OverflowError):
        raise ConfigError(f"ratio is {shown(text)}; write a number such as 4 or 1/4, or {VARIES}") from None
    return value


def layout_of(text: str) -> dict[str, int]:
    """dp=2,tp=4 as numbers by axis. Raises ConfigError for an axis or a number that is none."""
    found = {}
    for part in filter(None, text.split(",")):
        axis, _, number = part.partition("=")
        if axis not in AXES or not re.fullmatch("[1-9][0-9]{0,5}", number):
            raise ConfigError(f"layout says {shown(part)}; write for example dp=2,tp=4 ({', '.join(AXES)})")
        found[axis] = int(number)
    return found


def require_which(names: list[str]) -> frozenset[str]:
    if unknown := [name for name in names if name not in WHICH]:
        raise ConfigError(f"which is {shown(unknown[0])}; choose {', '.join(WHICH)}")
    return frozenset(names)


def meaning(ratio: str, layout: Mapping[str, int]) -> float | None:
    """The value of "tp", "1/dp" or "2" in a layout; None where the layout does not say it."""
    over = ratio.startswith("1/")
    name = ratio.removeprefix("1/")
    value = float(name) if name not in AXES else layout.get(name)
    return None if value is None else 1 / value if over else float(value)


def close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=CLOSE, abs_tol=1e-9)
