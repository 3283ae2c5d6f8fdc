"""Describes wrong numbers in one line, and gives the next step.

Each common mistake leaves a pattern in the numbers. For example, if a sum over p ranks is taken twice, the
result is p times too large. If a chunk index is off by one, each rank has its neighbour's chunk. PATTERNS
lists one function per pattern, the most specific first. Each function returns a diagnosis, or None if its
pattern does not fit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import zip_longest
from typing import Any

import numpy as np

from minipar.exercises.diagnose import CLEAN, Diagnosis, Leaf, equal
from minipar.exercises.patterns_of_changes import wrong_change
from minipar.exercises.patterns_of_rows import PATTERNS_OF_ROWS
from minipar.exercises.patterns_of_sums import (
    multiple,
    on,
    on_rank,
    own_part,
    parts_of_a_sum,
    ratio,
    some_ranks_only,
    unusual_factor,
)
from minipar.exercises.unwritten import is_unwritten
from minipar.exercises.words import part

BY_HAND = "compute this element by hand, with pen and paper"
OWN_DATA = "which step depends on comm.rank, or on this rank's own data alone?"
RECEIVED = "does this rank receive a message, and does it return what it received?"
NUMBER_BY_HAND = "compute this number by hand, with pen and paper"
VAGUE = (BY_HAND, NUMBER_BY_HAND, OWN_DATA, RECEIVED)        # next steps that name no cause


def wrong_values(leaf: Leaf) -> Diagnosis:
    """Return the diagnosis of the first pattern that fits."""
    subject = f"the {part(leaf.name)}" if not leaf.name.startswith("grad") else f"{leaf.name!r}"
    with np.errstate(all="ignore"):  # some patterns compute infinity - infinity
        for pattern in PATTERNS:
            if found := pattern(leaf):
                return Diagnosis(f"{subject} {found.text}", found.advice)
    raise AssertionError("the last pattern fits all")


def text(leaf: Leaf) -> Diagnosis | None:
    """Compare texts instead of numbers: report the first line that differs."""
    rank = leaf.wrong[0]
    got, want = leaf.got[rank], leaf.wanted[rank]
    if want.dtype.kind not in "US":
        return None
    if str(got).strip() == str(want).strip():
        return Diagnosis(f"begins or ends with other spaces or newlines{on_rank(leaf, rank)}: it is "
                         f"{str(got)[-40:]!r}; wanted is {str(want)[-40:]!r}",
                         "is there a space or a newline too many?")
    mine_, right_ = str(got).split("\n"), str(want).split("\n")
    mine, right = next(pair for pair in zip_longest(mine_, right_) if pair[0] != pair[1])
    if sorted(mine_) == sorted(right_):
        return Diagnosis(f"has the right lines in another order{on_rank(leaf, rank)}: line "
                         f"{mine_.index(mine) + 1} is {mine[:60]!r}; wanted is {right[:60]!r}",
                         "in which order do the parts arrive, and in which order are they joined?")
    if right is None:
        return Diagnosis(f"has an extra line{on_rank(leaf, rank)}: {mine[:60]!r}", "is a loop too long?")
    if mine is None:
        return Diagnosis(f"lacks the line {right!r}{on_rank(leaf, rank)}", "is a loop too short?")
    return Diagnosis(f"has the line {mine[:60]!r}{on_rank(leaf, rank)}; wanted is {right!r}",
                     "the two differ only in capital letters" if mine.lower() == right.lower() else
                     first_difference(mine.split(), right.split()))


def first_difference(mine: list[str], right: list[str]) -> str:
    """Return the next step for two lines of words that differ."""
    number = next((i for i, (one, other) in enumerate(zip(mine, right, strict=False)) if one != other),
                  min(len(mine), len(right)))
    if min(len(mine), len(right)) < 3:
        return "compare the two letter by letter: which variable holds the part that differs?"
    if number == min(len(mine), len(right)):
        return f"the line has {len(mine)} words; wanted are {len(right)}: is a loop too short or too long?"
    return (f"the first difference is word {number + 1}, {mine[number]!r} in place of {right[number]!r}: "
            "which step writes it?")


def never_written(leaf: Leaf) -> Diagnosis | None:
    """Detect elements of np.empty that no line has written. `unwritten.py` has marked them."""
    for rank in leaf.wrong:
        if count := int(is_unwritten(leaf.got[rank]).sum()):
            return Diagnosis(
                f"has {count} of {leaf.got[rank].size} elements that were never written{on_rank(leaf, rank)}",
                "np.empty leaves its elements undefined: is each of them written? does a line read them "
                "before their receive has ended (Wait)?",
            )
    return None


def not_finite(leaf: Leaf) -> Diagnosis | None:
    """Detect NaN and infinite elements where finite ones are wanted."""
    for rank in leaf.wrong:
        got = leaf.got[rank]
        if got.dtype.kind == "f" and (np.isnan(got) & ~np.isnan(leaf.wanted[rank])).any():
            return Diagnosis(
                f"is NaN{on_rank(leaf, rank)}", "which step divides 0 by 0 or infinity by infinity, "
                "subtracts infinity from infinity, or reads an element of np.empty that was never written?"
            )
        if got.dtype.kind == "f" and (np.isinf(got) & ~np.isinf(leaf.wanted[rank])).any():
            return Diagnosis(f"is infinite{on_rank(leaf, rank)}",
                             "which exponential or sum overflows, or which logarithm or divisor is 0?")
    return None


def shifted(leaf: Leaf) -> Diagnosis | None:
    """Detect that each rank has the value of another rank."""
    if leaf.matches(leaf.wanted):
        return None
    for by in range(1, leaf.ranks):
        if leaf.matches([leaf.wanted[(rank + by) % leaf.ranks] for rank in range(leaf.ranks)]):
            off = by if by <= leaf.ranks // 2 else by - leaf.ranks
            return Diagnosis(
                f"of rank r is what rank r {'+' if off > 0 else '-'} {abs(off)} should have",
                f"is the index of a chunk or a neighbour off by {abs(off)}?",
            )
    if leaf.ranks > 1 and leaf.matches([leaf.wanted[0]] * leaf.ranks):
        return Diagnosis("of every rank is what rank 0 should have", "does the part depend on comm.rank?")
    return None


def own_input(leaf: Leaf) -> Diagnosis | None:
    """Detect a result that is one of the rank's own arguments."""
    ranks = [
        rank for rank in leaf.wrong if any(equal(leaf.got[rank], one, CLEAN) for one in leaf.inputs(rank))
    ]
    if ranks == leaf.wrong:
        return Diagnosis(f"is this rank's own input{on(leaf, ranks)}",
                         RECEIVED)
    return None


def input_of_another_rank(leaf: Leaf) -> Diagnosis | None:
    """Detect that all ranks with a wrong result have the input of one other rank. An example is a broadcast
    that starts at rank 0 although the root is another rank.
    """
    for source in range(leaf.ranks):
        if all(any(equal(leaf.got[rank], one, CLEAN) for one in leaf.inputs(source, leaf.got[rank].shape))
               for rank in leaf.wrong):
            return Diagnosis(f"is the input of rank {source}{on(leaf, leaf.wrong)}",
                             "from which rank should the data come? does the code use the root?")
    return None


def repeated_rows(leaf: Leaf) -> Diagnosis | None:
    """Detect that each wrong row of a result is another row of the right result."""
    for rank in leaf.wrong:
        got, want = leaf.got[rank], leaf.wanted[rank]
        if want.ndim < 2 or got.dtype.kind not in "iuf":
            continue
        bad = [row for row in range(len(want)) if not equal(got[row], want[row], leaf.tolerance)]
        from_row = [next((other for other in range(len(want)) if equal(got[row], want[other], CLEAN)), None)
                    for row in bad]
        if None not in from_row:
            return Diagnosis(f"has in row {bad[0]} what row {from_row[0]} should have{on_rank(leaf, rank)}",
                             "to which row does each part belong? does a line overwrite a row?")
    return None


def reordered(leaf: Leaf) -> Diagnosis | None:
    """Detect the right numbers in another order."""
    for rank in leaf.wrong:
        got, want = leaf.got[rank], leaf.wanted[rank]
        if (
            want.ndim > 1
            and want.shape[0] == want.shape[-1]
            and equal(got, np.swapaxes(want, 0, -1), CLEAN)
        ):
            return Diagnosis(f"is transposed{on_rank(leaf, rank)}", "are two axes exchanged?")
        if (
            want.size > 1
            and not equal(want, want[::-1], CLEAN)
            and equal(np.sort(got, axis=None), np.sort(want, axis=None), CLEAN)
        ):
            return Diagnosis(
                f"has the right numbers in another order{on_rank(leaf, rank)}",
                "in which order are the parts joined?",
            )
    return None


def ranks_differ(leaf: Leaf) -> Diagnosis | None:
    """Detect results that differ between ranks, although all ranks should have the same result."""
    want, rank = leaf.wanted[0], leaf.wrong[0]
    if not all(equal(one, want, CLEAN) for one in leaf.wanted) or leaf.got[rank].shape != want.shape:
        return None
    for other in leaf.wrong:
        bad = ~np.isclose(leaf.got[rank], leaf.got[other], rtol=CLEAN, atol=CLEAN, equal_nan=True)
        if bad.any():
            first = tuple(int(i) for i in np.argwhere(bad)[0])
            index = f"[{', '.join(map(str, first))}] " if first else ""
            numbers = [f"{number(leaf.got[one][first])} on rank {one}" for one in (rank, other)]
            return Diagnosis(
                f"differs between the ranks: {index}is {' and '.join(numbers)}; wanted is "
                f"{number(want[first])} on all",
                OWN_DATA)
    return None


def anything_else(leaf: Leaf) -> Diagnosis:
    """Report the first wrong element."""
    rank = leaf.wrong[0]
    got, want = np.asarray(leaf.got[rank]), np.asarray(leaf.wanted[rank])
    if want.ndim == 0:
        text = f"is {number(got)}{on_rank(leaf, rank)}; wanted is {number(want)}"
        return Diagnosis(text, advice_on_number(got, want))
    bad = ~np.isclose(got, want, rtol=leaf.tolerance, atol=leaf.tolerance, equal_nan=True)
    if not bad.any():
        bad = got != want
    first = tuple(int(i) for i in np.argwhere(bad)[0])
    count = f"{int(bad.sum())} of {want.size} elements"
    return Diagnosis(
        f"is wrong in {count}{on(leaf, leaf.wrong)}; the first is [{', '.join(map(str, first))}]: "
        f"{number(got[first])}, wanted is {number(want[first])}",
        BY_HAND,
    )


def advice_on_number(got: np.ndarray, want: np.ndarray) -> str:
    """Return the next step for a wrong number. If it is n times too large, for an integer n, it may be a sum
    instead of a mean. If it is n times too small, it may be a mean instead of a sum.
    """
    r = ratio(got, want) or 0.0
    power = round(math.log10(r)) if 0 < r < math.inf else 0
    if abs(power) >= 3 and math.isclose(r, 10.0 ** power, rel_tol=CLEAN):
        return f"it is 10^{power} times the right number: is the unit right?"
    for factor, advice in ((r, "times the right number: is it a sum where a mean is wanted?"),
                           (1 / r if r else 0.0, "times too small: is it a mean where a sum is wanted?")):
        if want.dtype.kind == "f" and 1.5 < factor < 1000 and abs(factor - round(factor)) < CLEAN:
            return f"it is {round(factor)} {advice}"
    return NUMBER_BY_HAND


def advice_on_prediction(leaf: Leaf) -> str:
    """Return the next step for a wrong prediction. The factor of the two numbers shows what was counted."""
    again = "compute the example of the task once more, in the same way as your prediction"
    if any(one.ndim or one.dtype.kind not in "iuf" for one in (leaf.wanted[0], leaf.got[0])):
        return again
    r = ratio(leaf.got[0], leaf.wanted[0]) or math.nan
    if leaf.wanted[0].dtype.kind == "f" and abs(r - 1) < 0.02:
        return "the first digits are right: write the exact number as a formula, such as 1 / 3"
    if leaf.wanted[0] == 1:                                         # each whole number is a multiple of 1
        return again
    for factor, said in (r, "too large"), (1 / r, "too small"):
        if 1.5 < factor < 1e15 and abs(factor - round(factor)) < CLEAN:
            times = round(factor)
            if times in (10**3, 10**6, 10**9):
                return f"it is {times:,} times {said}: is the unit right?"
            return f"it is {times} times {said}: what is counted {times} times, or left out?" + (
                " are these 8 ranks, or the 8 bytes of a float64?" if times == 8 else "")
    return again


def number(value: Any) -> str:
    value = np.asarray(value)[()]
    return f"{value:.6g}" if isinstance(value, np.floating) else str(value)


PATTERNS: tuple[Callable[[Leaf], Diagnosis | None], ...] = (
    text,
    never_written,
    not_finite,
    multiple,
    parts_of_a_sum,
    own_input,
    unusual_factor,
    shifted,
    own_part,
    some_ranks_only,
    input_of_another_rank,
    reordered,
    repeated_rows,
    wrong_change,
    *PATTERNS_OF_ROWS,
    ranks_differ,
    anything_else,
)
