"""Compares a prediction with the answer.

A number can have forms such as 12, 1e6, 3/4, 12.5 %, 2 MiB or 30 ms. A prediction is right if it differs from
the answer by at most 1 %.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

RIGHT = 0.01                            # relative difference of a right prediction
UNITS: dict[str, int | Fraction] = {
    "": 1, "%": Fraction(1, 100),
    "ns": Fraction(1, 10**9), "us": Fraction(1, 10**6), "ms": Fraction(1, 1000), "s": 1,
    "b": 1, "byte": 1, "bytes": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
NUMBER = re.compile(r"([-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d{1,3})?)(?:/(\d{1,18}))?\s*([a-z%]*)", re.I)
LONGEST = 40                            # characters of a number; longer texts are words


def number_in(text: str) -> float | None:
    """Return the value of a number with or without a unit, such as 2048 for "2 KiB" or 0.25 for "1/4". Return
    None for other texts.
    """
    found = NUMBER.fullmatch(text.strip().replace(",", "")) if len(text) <= LONGEST else None
    if not found or found[3].lower() not in UNITS or found[2] == "0":
        return None
    return float(Fraction(found[1]) / int(found[2] or 1) * UNITS[found[3].lower()])


def judged(prediction: str, answer: object, unit: str = "") -> str:
    """Return one line that compares a prediction with the answer, or "" if the prediction is empty.

    unit: the unit of the answer, if the answer is a number.
    """
    if not prediction:
        return ""
    mine, right = number_in(prediction), _as_number(answer)
    if right is not None and re.search("[a-z%]$", prediction.strip(), re.I) and unit.lower() in UNITS:
        right *= float(UNITS[unit.lower()])             # in base units: "2 KiB" equals 2048 bytes
    if mine is None or right is None:
        words = f"{answer:.6g}" if isinstance(answer, float) else str(answer).strip()
        same = prediction.strip().casefold() in (words.casefold(), f"{words} {unit}".casefold())
        return f"you predicted {prediction}: right" if same else f"you predicted {prediction}; compare"
    if mine == right or abs(mine - right) <= RIGHT * abs(right):
        return f"you predicted {prediction}: right"
    if right and mine and (mine > 0) == (right > 0) and math.isfinite(ratio := mine / right):
        size = f"{ratio:.3g} times the answer" if ratio > 1 else f"the answer divided by {1 / ratio:.3g}"
        return f"you predicted {prediction}: {size}"
    return f"you predicted {prediction}: not near"


def _as_number(answer: object) -> float | None:
    """Return the value of a number, or of a text such as "2 KiB". Return None for other texts.
    """
    if isinstance(answer, bool):
        return None
    try:
        return float(answer)            # type: ignore[arg-type]  # a Fraction, a NumPy scalar
    except (TypeError, ValueError, OverflowError):
        return number_in(str(answer))
