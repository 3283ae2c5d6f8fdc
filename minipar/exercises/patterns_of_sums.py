"""Detects wrong sums over the ranks: a wrong factor, or a part that is missing or added twice.

Each pattern is a function that returns a diagnosis, or None if the pattern does not fit. A `Leaf` is one
array of the results, on all ranks.
"""

from __future__ import annotations

import math
from itertools import combinations, permutations
from typing import Any

import numpy as np

from minipar.exercises.diagnose import CLEAN, Diagnosis, Leaf, equal


def multiple(leaf: Leaf) -> Diagnosis | None:
    """Detect results that are the right ones times a factor. The factor may differ between ranks."""
    factors = [ratio(got, want) for got, want in zip(leaf.got, leaf.wanted, strict=True)]
    known = [factor for factor in factors if factor is not None]
    if any(math.isnan(factor) for factor in known) or not known:
        return None
    p = leaf.ranks
    if max(known) - min(known) > CLEAN:
        wrong = [
            rank for rank, factor in enumerate(factors) if factor is not None and abs(factor - 1) > CLEAN
        ]
        if len(wrong) == 1 and p > 1:
            return meaning(leaf, factors[wrong[0]], f" on rank {wrong[0]}")  # type: ignore[arg-type]
        if any(leaf.wanted[rank].size < 2 for rank in wrong):       # a single number always has some factor
            return None
        return Diagnosis(
            f"has a different factor on each rank: {', '.join(f'{factor:.4g}' for factor in known)}",
            "does each rank divide by a different number, where all should use the same one?",
        )
    return meaning(leaf, known[0], "")


def unusual_factor(leaf: Leaf) -> Diagnosis | None:
    """Detect that the results on all wrong ranks are the right ones times one factor, which no common mistake
    explains. A single number always has some factor, so its factor is no clue.
    """
    factors = [ratio(leaf.got[rank], leaf.wanted[rank]) for rank in leaf.wrong]
    numbers = {float(one) for rank in leaf.wrong for one in leaf.wanted[rank].flat if np.isreal(one)} - {0.0}
    known = [factor for factor in factors if factor is not None]
    if len(numbers) < 2 or not known or not max(known) - min(known) <= CLEAN or abs(known[0]) <= CLEAN:
        return None
    where = f" on rank {leaf.wrong[0]}" if len(leaf.wrong) == 1 < leaf.ranks else ""
    return Diagnosis(f"is {known[0]:.6g} times the right one{where}",
                     length_of(leaf, known[0]) or "which factor is missing or too many?")


def meaning(leaf: Leaf, factor: float, where: str) -> Diagnosis | None:
    """Return the likely mistake for a common wrong factor, else None. where: the end of the diagnosis."""
    p = leaf.ranks
    ranks = f"{p} is the number of ranks"
    table = [
        (0.0, "is 0", "does a message arrive, and is its content used?" if p > 1 else
         "with 1 rank no message arrives: is the rank's own part in the result?"),
        (-1.0, "has the wrong sign", "is a difference taken in the wrong order?"),
        (float(p), f"is {p} times too large", f"{ranks}: is it summed twice, or is a mean missing?"),
        (1 / p, f"is {p} times too small",
         f"{ranks}: is it averaged where the sum is wanted, or is a sum over the ranks missing?"),
        (float(p * p), f"is {p * p} times too large", f"{ranks}, squared: is it summed twice?"),
        (2.0, "is twice too large", length_of(leaf, 2.0) or "is something added twice?"),
        (0.5, "is half of what it should be", length_of(leaf, 0.5) or "is a factor of 2 missing?"),
        (p - 1.0, f"is {p - 1} times too large", f"{p - 1} is the number of other ranks")]
    if abs(factor - 1) <= CLEAN and leaf.wanted[0].dtype.kind == "f":
        return Diagnosis(f"is right in its first digits only{where}",
                         "is a number in between float32? does the formula add a small number, or use "
                         "a difference?")
    for value, text, advice in table:
        if math.isclose(factor, value, rel_tol=CLEAN, abs_tol=CLEAN) and value != 1:
            return Diagnosis(text + where, advice)
    return None


def length_of(leaf: Leaf, factor: float) -> str:
    """Return the next step if the factor, or its inverse, is the length of an argument of rank 0, or if it is
    the quotient of two lengths. Return "" otherwise.
    """
    if abs(factor) <= CLEAN:
        return ""
    lengths: dict[int, str] = {}                                    # length -> words for it
    for number, one in enumerate(leaf.arguments[0]):
        name = leaf.parameters[number] if leaf.parameters else f"argument {number + 1}"
        if isinstance(one, int) and one > 1:
            lengths.setdefault(one, f"the number {name}")
        for axis, length in enumerate(one.shape if isinstance(one, np.ndarray) else ()):
            if length > 1:
                lengths.setdefault(length, f"axis {axis} of {name}" if axis else f"the length of {name}")
    for length, words in lengths.items():
        for size, mistake in ((factor, "a sum where a mean is wanted"),
                              (1 / factor, "a mean where a sum is wanted")):
            if math.isclose(size, length, rel_tol=CLEAN):
                return f"{length} is {words}: is it {mistake}?"
    for one, other in permutations(lengths, 2):
        if math.isclose(factor, one / other, rel_tol=CLEAN):
            return (f"it is {one}/{other}: {one} is {lengths[one]}, and {other} is {lengths[other]}. Is one "
                    "taken for the other?")
    return ""


def ratio(got: np.ndarray, want: np.ndarray) -> float | None:
    """Return r if got is r times want, NaN if no such number exists, and None if both are zero."""
    if got.dtype.kind not in "fiu" or not want.size or not want.any():
        return None if equal(got, want, CLEAN) else math.nan
    r = float(np.vdot(got, want) / np.vdot(want, want))
    return r if equal(got, r * want, CLEAN) else math.nan


def parts_of_a_sum(leaf: Leaf) -> Diagnosis | None:
    """Detect that the ranks have parts whose sum over the ranks is right."""
    if leaf.ranks == 1 or len({got.shape for got in leaf.got}) > 1:
        return None
    total = np.sum(np.stack(leaf.got), axis=0)
    filled = np.sum(np.stack([got != 0 for got in leaf.got]), axis=0)
    if all(equal(total, want, CLEAN) for want in leaf.wanted):
        if filled.size > 1 and filled.max() == 1:
            return Diagnosis("has only the rank's own part, and 0 elsewhere, on each rank",
                             "are the received parts written into the result? a[i:j] is a part of a, but "
                             "a[[i, j]] is a copy")
        return Diagnosis(
            "is only a part on each rank, and the sum of all ranks' parts is right",
            "is the sum over the ranks missing?",
        )
    return None


def own_part(leaf: Leaf) -> Diagnosis | None:
    """Detect a sum in which one of the rank's own arguments is missing or occurs several times. For example,
    every rank adds a bias. The argument may have fewer axes than the result.
    """
    for number in range(len(leaf.arguments[0])):
        times = {extra(leaf, rank, leaf.arguments[rank][number]) for rank in leaf.wrong}
        if len(times) != 1 or (found := times.pop()) is None:
            continue
        is_smaller = leaf.arguments[0][number].ndim < leaf.wanted[0].ndim      # a bias, for example
        name = f"argument {leaf.parameters[number] if leaf.parameters else number + 1}"
        which = name if is_smaller else "this rank's own input"
        if found == -1:
            return Diagnosis(f"lacks {which}{on(leaf, leaf.wrong)}",
                             "is it added on every path, and on 1 rank, too?")
        if found + 1 in (leaf.ranks, leaf.ranks ** 2) and leaf.ranks > 2:
            return Diagnosis(f"contains {name} {found + 1} times",
                             f"{leaf.ranks} is the number of ranks: does each rank add it before the sum, "
                             "or is it summed over the ranks, too?")
        if found == 1:
            return Diagnosis(f"contains {which} twice{on(leaf, leaf.wrong)}", "is it added twice?")
    return None


def extra(leaf: Leaf, rank: int, one: Any) -> int | None:
    """Return how many times too often the argument `one` occurs in a rank's result. Return -1 if it is
    missing, and None if the error is another one.
    """
    got, want = leaf.got[rank], leaf.wanted[rank]
    if not isinstance(one, np.ndarray) or one.dtype.kind not in "iuf" or got.dtype.kind not in "iuf":
        return None
    if one.size < 2 or got.shape != want.shape or one.shape != want.shape[want.ndim - one.ndim:]:
        return None
    r = ratio(got.astype(float) - want, np.broadcast_to(one, want.shape).astype(float))
    return round(r) if r is not None and math.isfinite(r) and r and abs(r - round(r)) < CLEAN else None


def some_ranks_only(leaf: Leaf) -> Diagnosis | None:
    """Detect a sum over the ranks in which some ranks are missing. The addends are an argument of each rank,
    or a chunk of it.
    """
    rank, p = leaf.wrong[0], leaf.ranks
    got, want = leaf.got[rank], leaf.wanted[rank]
    for number in range(len(leaf.arguments[0])) if 2 < p < 6 and want.ndim == 1 and want.size else ():
        xs = [arguments[number] for arguments in leaf.arguments]
        if any(not isinstance(x, np.ndarray) or x.ndim != 1 or x.size != xs[0].size for x in xs):
            continue
        for start in range(xs[0].size - want.size + 1):
            parts = [x[start:start + want.size] for x in xs]
            if not equal(np.sum(parts, axis=0), want, CLEAN):
                continue
            for ranks in (members for count in range(1, p) for members in combinations(range(p), count)):
                if equal(np.sum([parts[one] for one in ranks], axis=0), got, CLEAN):
                    which = f"rank{'s' * (len(ranks) > 1)} {', '.join(map(str, ranks))}"
                    return Diagnosis(f"on rank {rank} is the sum over {which} only",
                                     "which message brings the other parts? to which index are they added?")
    return None


def on_rank(leaf: Leaf, rank: int) -> str:
    return f" on rank {rank}" if leaf.ranks > 1 else ""


def on(leaf: Leaf, ranks: list[int]) -> str:
    """Return a phrase, " on rank 2" or " on all ranks" for example. It is "" if the call has only one rank.
    """
    if len(ranks) == leaf.ranks:
        return " on all ranks" if leaf.ranks > 1 else ""
    return f" on rank{'s' * (len(ranks) > 1)} {', '.join(map(str, ranks))}"
