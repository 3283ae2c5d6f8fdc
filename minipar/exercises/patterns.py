"""What kind of wrong are numbers? One line, and the next step.

Each mistake leaves a trace: a sum that is taken twice is p times too large, a chunk whose index is off by one
lies on the neighbour. PATTERNS holds the traces that are looked for, the most telling first.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import zip_longest
from typing import Any

import numpy as np

from minipar.exercises.diagnose import CLEAN, Diagnosis, Leaf, equal, quoted


def wrong_values(leaf: Leaf) -> Diagnosis:
    """What kind of wrong the numbers are."""
    subject = f"the result{quoted(leaf.name)}" if not leaf.name.startswith("grad") else f"{leaf.name!r}"
    with np.errstate(all="ignore"):                                 # infinite minus infinite, and so on
        for pattern in PATTERNS:
            if found := pattern(leaf):
                return Diagnosis(f"{subject} {found.text}", found.advice)
    raise AssertionError("the last pattern fits all")


def text(leaf: Leaf) -> Diagnosis | None:
    """Words instead of numbers: the first line that differs."""
    rank = leaf.wrong[0]
    got, want = leaf.got[rank], leaf.wanted[rank]
    if want.dtype.kind not in "US":
        return None
    lines = zip_longest(str(got).splitlines(), str(want).splitlines())
    mine, right = next(pair for pair in lines if pair[0] != pair[1])
    said = "lacks the line" if mine is None else f"has the line {mine[:60]!r}{on_rank(leaf, rank)}; wanted is"
    return Diagnosis(f"{said} {right!r}" if right is not None else f"has a line too many: {mine[:60]!r}", "")


def not_finite(leaf: Leaf) -> Diagnosis | None:
    for rank in leaf.wrong:
        got = leaf.got[rank]
        if got.dtype.kind == "f" and (np.isnan(got) & ~np.isnan(leaf.wanted[rank])).any():
            return Diagnosis(
                f"is NaN on rank {rank}", "which step divides 0 by 0, or subtracts infinity from infinity?"
            )
        if got.dtype.kind == "f" and (np.isinf(got) & ~np.isinf(leaf.wanted[rank])).any():
            return Diagnosis(f"is infinite on rank {rank}", "which exponential or sum overflows?")
    return None


def multiple(leaf: Leaf) -> Diagnosis | None:
    """The same factor on all ranks, or a factor of its own on each."""
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
            return meaning(factors[wrong[0]], p, f" on rank {wrong[0]}")  # type: ignore[arg-type]
        return Diagnosis(
            f"has a factor of its own on each rank: {', '.join(f'{factor:.4g}' for factor in known)}",
            "does each rank divide by a number of its own, where all should use the same one?",
        )
    return meaning(known[0], p, "")


def meaning(factor: float, p: int, where: str) -> Diagnosis | None:
    """What a factor says."""
    ranks = f"{p} is the number of ranks"
    table = [
        (0.0, "is 0", "does anything arrive, and is it added?"),
        (-1.0, "has the wrong sign", "is something subtracted the wrong way round?"),
        (float(p), f"is {p} times too large", f"{ranks}: is it summed twice, or is a mean missing?"),
        (1 / p, f"is {p} times too small",
         f"{ranks}: is it averaged where the sum is wanted, or is a sum over the ranks missing?"),
        (float(p * p), f"is {p * p} times too large", f"{ranks}, squared: is it summed twice?"),
        (2.0, "is twice too large", "is something added twice?"),
        (0.5, "is half of what it should be", "is a factor of 2 missing?"),
        (p - 1.0, f"is {p - 1} times too large", f"{p - 1} is the number of other ranks")]
    if abs(factor - 1) <= CLEAN:
        return Diagnosis(f"is right to some digits only{where}",
                         "is something float32 on the way? is the formula the exact one?")
    for value, text, advice in table:
        if math.isclose(factor, value, rel_tol=CLEAN, abs_tol=CLEAN) and value != 1:
            return Diagnosis(text + where, advice)
    return Diagnosis(f"is {factor:.6g} times the right one{where}", "which factor is missing or too many?")


def ratio(got: np.ndarray, want: np.ndarray) -> float | None:
    """r where got is r times want; NaN where there is no such number; None where want says nothing."""
    if got.dtype.kind not in "fiu" or not want.size or not want.any():
        return None if equal(got, want, CLEAN) else math.nan
    r = float(np.vdot(got, want) / np.vdot(want, want))
    return r if equal(got, r * want, CLEAN) else math.nan


def parts_of_a_sum(leaf: Leaf) -> Diagnosis | None:
    if leaf.ranks == 1 or len({got.shape for got in leaf.got}) > 1:
        return None
    total = np.sum(np.stack(leaf.got), axis=0)
    if all(equal(total, want, CLEAN) for want in leaf.wanted):
        return Diagnosis(
            "is a part on each rank, and the sum of all ranks' parts is right",
            "is the sum over the ranks missing?",
        )
    return None


def shifted(leaf: Leaf) -> Diagnosis | None:
    """Each rank has what another one should have."""
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
    ranks = [
        rank for rank in leaf.wrong if any(equal(leaf.got[rank], one, CLEAN) for one in leaf.inputs(rank))
    ]
    if ranks == leaf.wrong:
        return Diagnosis(f"is this rank's own input {on(leaf, ranks)}", "is what arrives stored and used?")
    return None


def own_part(leaf: Leaf) -> Diagnosis | None:
    """The rank's own input is missing in a sum, or is there twice."""
    for change, text, advice in (
            (np.subtract, "lacks this rank's own input", "is the own part added, too?"),
            (np.add, "contains this rank's own input twice", "is the own part added twice?")):
        ranks = [rank for rank in leaf.wrong
                 if any(equal(leaf.got[rank], change(leaf.wanted[rank], one, dtype=float), CLEAN)
                        for one in leaf.inputs(rank))]
        if ranks and ranks == leaf.wrong:
            return Diagnosis(f"{text} {on(leaf, ranks)}", advice)
    return None


def reordered(leaf: Leaf) -> Diagnosis | None:
    """The right numbers in another order."""
    for rank in leaf.wrong:
        got, want = leaf.got[rank], leaf.wanted[rank]
        if (
            want.ndim > 1
            and want.shape[0] == want.shape[-1]
            and equal(got, np.swapaxes(want, 0, -1), CLEAN)
        ):
            return Diagnosis(f"is transposed on rank {rank}", "are two axes exchanged?")
        if (
            want.size > 1
            and not equal(want, want[::-1], CLEAN)
            and equal(np.sort(got, axis=None), np.sort(want, axis=None), CLEAN)
        ):
            return Diagnosis(
                f"has the right numbers in another order on rank {rank}",
                "in which order are the parts joined?",
            )
    return None


def anything_else(leaf: Leaf) -> Diagnosis:
    """The first element that is wrong."""
    rank = leaf.wrong[0]
    got, want = np.asarray(leaf.got[rank]), np.asarray(leaf.wanted[rank])
    if want.ndim == 0:
        return Diagnosis(f"is {number(got)}{on_rank(leaf, rank)}; wanted is {number(want)}", "")
    bad = ~np.isclose(got, want, rtol=leaf.tolerance, atol=leaf.tolerance, equal_nan=True)
    if not bad.any():
        bad = got != want
    first = tuple(int(i) for i in np.argwhere(bad)[0])
    count = f"{int(bad.sum())} of {want.size} elements"
    return Diagnosis(
        f"is wrong in {count} {on(leaf, leaf.wrong)}; the first is [{', '.join(map(str, first))}]: "
        f"{number(got[first])}, wanted is {number(want[first])}",
        "follow this element by hand, with pen and paper",
    )


def number(value: Any) -> str:
    value = np.asarray(value)[()]
    return f"{value:.6g}" if isinstance(value, np.floating) else str(value)


def on_rank(leaf: Leaf, rank: int) -> str:
    return f" on rank {rank}" if leaf.ranks > 1 else ""


def on(leaf: Leaf, ranks: list[int]) -> str:
    """ "on rank 2", "on all ranks"."""
    if len(ranks) == leaf.ranks:
        return "on all ranks" if leaf.ranks > 1 else ""
    return f"on rank{'s' * (len(ranks) > 1)} {', '.join(map(str, ranks))}"


PATTERNS: tuple[Callable[[Leaf], Diagnosis | None], ...] = (
    text,
    not_finite,
    shifted,
    multiple,
    parts_of_a_sum,
    own_input,
    own_part,
    reordered,
    anything_else,
)
