"""Detects results in which whole rows or columns are wrong in the same way.

An operation over the wrong axis, or a forgotten mean of a row, leaves such a pattern. Each pattern is a
function that returns a diagnosis, or None if the pattern does not fit. A `Leaf` is one array of the results,
on all ranks.
"""

from __future__ import annotations

import numpy as np

from minipar.exercises.diagnose import CLEAN, Diagnosis, Leaf, equal
from minipar.exercises.patterns_of_sums import on_rank, ratio

FEWEST = 3  # elements; with fewer elements, the pattern may fit by chance


def sums_over_another_axis(leaf: Leaf) -> Diagnosis | None:
    """Detect that each column, or the whole matrix, adds up to 1 or 0, although each row should. Examples are
    a softmax and a LayerNorm over the wrong axis.
    """
    rank = leaf.wrong[0]
    got, want = leaf.got[rank], leaf.wanted[rank]
    if want.ndim != 2 or want.dtype.kind != "f" or got.dtype.kind != "f" or min(want.shape) < 2:
        return None
    for total in (0.0, 1.0):
        if not is_all(want.sum(axis=1), total) or is_all(got.sum(axis=1), total):
            continue
        for sums, what in (got.sum(axis=0), "each column adds"), (got.sum(), "the whole matrix adds"):
            if is_all(sums, total):
                return Diagnosis(
                    f"is wrong{on_rank(leaf, rank)}: {what} up to {total:.0f}, where each row should",
                    "which steps must use the numbers of one row only? see axis=1, keepdims=True")
    return None


def is_all(sums: np.ndarray, total: float) -> bool:
    return bool(np.allclose(sums, total, rtol=0, atol=CLEAN))


def factor_of_each_row(leaf: Leaf) -> Diagnosis | None:
    """Detect that each row, or each column, is the right one times a factor of its own."""
    rank = leaf.wrong[0]
    got, want = leaf.got[rank], leaf.wanted[rank]
    if want.ndim != 2 or want.dtype.kind != "f" or got.dtype.kind != "f":
        return None
    for name, one, other in ("row", got, want), ("column", got.T, want.T):
        factors = [ratio(a, b) for a, b in zip(one, other, strict=True)]
        known = [factor for factor in factors if factor is not None]
        if other.shape[1] >= FEWEST and len(known) == len(factors) > 1 and np.isfinite(known).all():
            return Diagnosis(f"has a wrong factor in each {name}{on_rank(leaf, rank)}: {known[0]:.4g} in "
                             f"{name} 0, {known[1]:.4g} in {name} 1",
                             f"by which number of its own must each {name} be multiplied or divided?")
    return None


def same_difference(leaf: Leaf) -> Diagnosis | None:
    """Detect that all elements, or those of each row or column, are wrong by the same number."""
    rank = leaf.wrong[0]
    got, want = leaf.got[rank], leaf.wanted[rank]
    if want.size < FEWEST or {got.dtype.kind, want.dtype.kind} - set("iuf") or not np.isfinite(want).all():
        return None
    difference = got.astype(float) - want
    off = float(difference.flat[0])
    if abs(off) > CLEAN and equal(difference, np.full(want.shape, off), CLEAN):
        return Diagnosis(f"is {abs(off):.6g} too {'large' if off > 0 else 'small'} in each element"
                         f"{on_rank(leaf, rank)}",
                         "which number is added, subtracted or left out? does counting start at 0 or at 1?")
    for name, one in ("row", difference), ("column", difference.T):
        if one.ndim != 2 or one.shape[1] < FEWEST or len(one) < 2:
            continue
        if np.abs(one).max() > CLEAN and equal(one, np.repeat(one[:, :1], one.shape[1], axis=1), CLEAN):
            return Diagnosis(f"is wrong by one number in each {name}{on_rank(leaf, rank)}: by "
                             f"{one[0, 0]:.4g} in {name} 0, by {one[1, 0]:.4g} in {name} 1",
                             f"which mean, sum or maximum of each {name} is missing, or over the wrong axis?")
    return None


PATTERNS_OF_ROWS = (sums_over_another_axis, factor_of_each_row, same_difference)
