"""Detects wrong steps of an argument, such as weights w in w - lr * gradient.

Such a result is no multiple of the right one, but its change is: (result - w) is r times (right result - w).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from minipar.exercises.diagnose import CLEAN, Diagnosis, Leaf
from minipar.exercises.patterns_of_sums import multiple, parts_of_a_sum, ratio, unusual_factor


def wrong_change(leaf: Leaf) -> Diagnosis | None:
    """Detect that the change of an argument is a multiple of the right change, or that the result is the
    change itself.
    """
    for number in range(len(leaf.arguments[0])):
        before = [arguments[number] for arguments in leaf.arguments]
        rows = list(zip(before, leaf.wanted, leaf.got, strict=True))
        if not all(fits(one, want, got) for one, want, got in rows):
            continue
        wanted = [want - one for one, want, _ in rows]
        changes = replace(leaf, wanted=wanted, got=[got - one for one, _, got in rows])
        name = leaf.parameters[number] if number < len(leaf.parameters) else f"argument {number + 1}"
        for pattern in (multiple, parts_of_a_sum, unusual_factor):
            if found := pattern(changes):
                return Diagnosis(f"is wrong: the change of {name} {found.text}", found.advice)
        factors = [ratio(got, change) for got, change in zip(leaf.got, wanted, strict=True)]
        known = [factor for factor in factors if factor is not None]
        if known and max(known) - min(known) <= CLEAN and abs(known[0]) > CLEAN:
            return Diagnosis(f"is only the change of {name}, times {known[0]:.6g}",
                             f"where is {name} itself added?")
    return None


def fits(before: object, want: np.ndarray, got: np.ndarray) -> bool:
    """Return True if the argument, the wanted and the returned array are float arrays of the same shape."""
    if not isinstance(before, np.ndarray) or not before.shape == want.shape == got.shape or want.size < 2:
        return False
    return {before.dtype.kind, want.dtype.kind, got.dtype.kind} == {"f"} and bool(np.any(want != before))
