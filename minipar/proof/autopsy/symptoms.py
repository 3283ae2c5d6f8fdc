"""Defines the symptoms of a wrong training: which values are wrong, their ratio to the right values, and the
layout of the training.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from minipar.errors import ConfigError, shown

# symptom -> description
WHICH = {
    "all": "all gradients",
    "row-biases": "gradients of the biases of row-parallel layers",
    "norms": "gradients of LayerNorms",
    "positions": "the gradient of the position table",
    "table": "the gradient of the token table",
    "one-parameter": "the gradient of one parameter",
    "some": "some other gradients",
    "start": "the weights before the first step",
    "forward": "activations or logits",
    "loss": "the loss",
    "norm": "the norm of the gradient",
    "rate": "the learning rate",
    "later": "only later steps",
    "optimizer": "only weights under AdamW",
    "validation": "only the validation loss",
    "replicas": "replicas that drift apart",
    "resume": "steps after a restart",
    "mixed": "only mixed precision",
    "generation": "only generated text",
    "memory": "only the memory or the time",
    "hang": "a job that hangs or stops",
    "not-finite": "values that are NaN or infinite",
}
AXES = ("dp", "tp", "pp", "micro-batches")
VARIES = "varies"  # a ratio that differs from rank to rank, or from element to element
CLOSE = 0.01  # ratios with a smaller relative difference count as equal


@dataclass(frozen=True)
class Symptoms:
    """The symptoms of one training. ratio: the wrong value divided by the right value. It is a number,
    VARIES, or None if it is unknown. which: the wrong values, as keys of WHICH. layout: axis -> size; AXES of
    unknown size are left out.
    """

    ratio: float | str | None = None
    which: frozenset[str] = frozenset()
    layout: Mapping[str, int] = field(default_factory=dict)


def ratio_of(text: str) -> float | str:
    """Parses the text of a ratio: a number such as 4, 0.25 or 1/4, or "varies". Raises ConfigError for any
    other text.
    """
    if text == VARIES:
        return text
    try:
        value = float(Fraction(text))
    except (ValueError, ZeroDivisionError, OverflowError):
        raise ConfigError(f"ratio is {shown(text)}; write a number such as 4 or 1/4, or {VARIES}") from None
    return value


def layout_of(text: str) -> dict[str, int]:
    """Parses the text of a layout: "dp=2,tp=4" gives {"dp": 2, "tp": 4}. Raises ConfigError for an unknown
    axis or an invalid number.
    """
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
    """Returns the number that a ratio such as "tp", "1/dp" or "2" means in this layout. Returns None if the
    layout does not give the size of the axis.
    """
    over = ratio.startswith("1/")
    name = ratio.removeprefix("1/")
    value = float(name) if name not in AXES else layout.get(name)
    return None if value is None else 1 / value if over else float(value)


def close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=CLOSE, abs_tol=1e-9)
