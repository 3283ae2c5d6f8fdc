"""Detects arrays that are too large or too small: a multiple of the right array, a partial sum, or an input
that was added too often or not at all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from minipar.proof.clues import NEARLY_RIGHT, ratio
from minipar.proof.equivalent.sharding import Sharded
from minipar.proof.equivalent.wrong_array import ONE_NUMBER, Facts, WrongArray, ranks_text

NEAR = 256                                                          # bfloat16 has 8 binary digits


def missing_sum(wrong: WrongArray, facts: Facts) -> str:
    """Detects partial sums: each rank's array is wrong, but the sum (or mean) over the ranks of an axis is
    right.
    """
    right = {rank for rank, fine in zip(wrong.ranks, wrong.right, strict=True) if fine}
    for axis, groups in facts.axes.items():
        group = next((group for group in groups if wrong.ranks[0] in group), ())
        parts = [part for rank in group if (part := wrong.by_rank[rank]) is not None]
        if right.intersection(group):
            continue  # a rank has the whole: nothing is missing in its sum
        if len(parts) < 2 or any(part.shape != wrong.wanted[0].shape for part in parts):
            continue
        if all(wrong.same(parts[0], part) for part in parts):
            continue  # the copies are equal; `one_ratio` explains them better
        total = np.sum(np.stack(parts), axis=0)
        if wrong.same(total, wrong.wanted[0]):
            return (
                f"a partial sum on each rank; its sum over {axis} is right: a reduce over {axis} is missing"
            )
        if wrong.same(total / len(parts), wrong.wanted[0]):
            return f"each rank has its own value, and the mean over {axis} is right, so a mean is missing"
    return ""


def zero(wrong: WrongArray, facts: Facts) -> str:
    """Detects arrays that are zero: on all ranks, or on some ranks while all other ranks are right."""
    bad = [not got.any() and want.any() for got, want in zip(wrong.got, wrong.wanted, strict=True)]
    if all(bad):
        return "zero: nothing arrives"
    ranks = [rank for rank, is_zero in zip(wrong.ranks, bad, strict=True) if is_zero]
    if not ranks or not _rest_right(wrong, ranks):
        return ""
    said = f"zero on {ranks_text(ranks)}: nothing arrives there"
    if isinstance(wrong.sharding, Sharded) or len(ranks) < len(wrong.ranks) - 1:
        return said
    return f"{said}; the sum over the ranks is right: a sum over them or a broadcast is missing"


def one_ratio(wrong: WrongArray, facts: Facts) -> str:
    """Detects that every rank has the right array times the same number."""
    if _rounded(wrong):
        return "only the leading digits are right: precision is lost"
    ratios = wrong.known_ratios
    if not ratios or max(ratios) - min(ratios) > wrong.clean:
        return ""
    if abs(ratios[0] - 1) <= wrong.clean:
        return _nearly_right(wrong)
    meaning = _meaning(ratios[0], facts)
    if wrong.whole.size == 1 and not meaning:
        return f"{ONE_NUMBER}, {ratios[0]:.6g} times the right one"
    return f"{ratios[0]:.6g} times the right value{meaning}"


def _rounded(wrong: WrongArray) -> bool:
    """Returns whether every element was rounded to float16 or bfloat16: it has at most 10 binary digits after
    the first one, and the right element is near but has more digits.
    """
    pairs = list(zip(wrong.got, wrong.wanted, strict=True))
    if any(got.shape != want.shape or got.dtype.kind != "f" or (abs(got - want) > abs(want) / NEAR).any()
           for got, want in pairs):
        return False
    long = np.concatenate([_has_more_digits(want) for _, want in pairs])
    return 2 * int(long.sum()) > long.size and not any(_has_more_digits(got).any() for got, _ in pairs)


def _has_more_digits(array: np.ndarray) -> np.ndarray:
    """Returns for each element whether it has more binary digits than float16."""
    bits: np.ndarray = array.astype(np.float64).reshape(-1).view(np.uint64)
    more: np.ndarray = bits & np.uint64((1 << 42) - 1) != 0
    return more


def _nearly_right(wrong: WrongArray) -> str:
    """Describes an array whose errors are small. If most elements have an error, precision is lost, or a
    small addend is wrong. For example, gradients that are all twice too large change AdamW's step only
    through its epsilon.
    """
    pairs = list(zip(wrong.got, wrong.wanted, strict=True))
    off, size = sum(int((got != want).sum()) for got, want in pairs), sum(want.size for _, want in pairs)
    if 4 * off > size:
        return NEARLY_RIGHT
    return f"{off} of {size} elements differ, and only by a small part of the array's largest element"


def _meaning(value: float, facts: Facts) -> str:
    """Returns the usual causes of a ratio as text, or "". value: wrong array / right array."""
    known: list[tuple[float, str]] = []
    for axis, groups in facts.axes.items():
        p = len(groups[0])
        known += [
            (
                p,
                f"{axis} = {p}: summed over ranks that already have the whole, or a mean is missing",
            ),
            (
                1 / p,
                f"1/{p} for {axis} = {p}: averaged over the ranks instead of summed, or averaged twice",
            ),
            (p * p, f"{p} times {p}: summed two more times than needed"),
            (1 / p / p, f"1/{p * p}: averaged two more times than needed"),
        ]
    pieces = facts.pieces
    known += [
        (pieces, f"the number of micro-batches ({pieces}): each is treated as the whole batch"),
        (1 / pieces, f"1/{pieces} for {pieces} micro-batches: divided by their number once too often"),
        (-1, "the sign is wrong"),
    ]
    meant = _equal_to(value, known, facts) or _equal_to(value, _products(facts), facts)
    return ", " + "; or ".join(meant) if meant else ""


def _equal_to(value: float, known: Sequence[tuple[float, str]], facts: Facts) -> list[str]:
    """Returns the texts of the numbers that equal a ratio. The number 1 explains nothing."""
    return list(dict.fromkeys(text for number, text in known
                              if number != 1 and math.isclose(number, value, rel_tol=facts.clean)))


def _products(facts: Facts) -> list[tuple[float, str]]:
    """Returns the products of two sizes, and 1 divided by each product, with their usual causes."""
    sizes = {axis: len(groups[0]) for axis, groups in facts.axes.items()}
    if facts.pieces > 1:
        sizes["micro-batches"] = facts.pieces
    found: list[tuple[float, str]] = []
    for (one, p), (other, q) in combinations(sizes.items(), 2):
        found += [(p * q, f"{one} times {other} = {p * q}: summed over both once too often"),
                  (1 / p / q, f"1/{p * q} for {one} times {other}: averaged over both instead of summed")]
    return found


def own_counts(wrong: WrongArray, facts: Facts) -> str:
    """Detects that the ratio to the right array differs from rank to rank. The usual cause: the ranks have
    different numbers of samples, and each rank divides by its own number.
    """
    ratios = wrong.known_ratios
    sharded = isinstance(wrong.sharding, Sharded)
    if not ratios or wrong.whole.size == 1 or sum(wrong.right) > (0 if sharded else 1):
        return ""
    for counts in facts.counts:
        total = sum(counts)
        meant = [total / counts[rank] if counts[rank] else 0.0 for rank in wrong.ranks]
        for factor in (1.0, 1 / len(counts)):
            if all(math.isclose(got, factor * want, rel_tol=wrong.clean)
                   for got, want in zip(ratios, meant, strict=True)):
                return "off by a different factor on each rank: each divides by its own number of samples"
    shown = ", ".join(f"{one:.4g}" for one in ratios[:4])
    return f"off by a different factor on each rank ({shown}): the ranks scale by different numbers"


def constant_added(wrong: WrongArray, facts: Facts) -> str:
    """Detects that all elements of a rank are off by one number, such as the sum over the lower ranks."""
    offsets = []
    for got, want, fine in zip(wrong.got, wrong.wanted, wrong.right, strict=True):
        if got.shape != want.shape or not fine and want.size < 3:
            return ""
        off = float((got - want).mean()) if want.size and not fine else 0.0
        if (abs(got - want - off) > wrong.clean * (abs(want).max(initial=0.0) or 1.0)).any():
            return ""
        offsets.append(off)
    if len(set(offsets)) == 1 or np.ptp(offsets) <= wrong.clean * max(map(abs, offsets)):
        return ""  # not an offset of the ranks; perhaps an input (see `input_added`)
    shown = ", ".join(f"{one:.4g}" for one in offsets[:4]) + ", ..." * (len(offsets) > 4)
    return f"each element of a rank is off by the same number ({shown}): an offset of the ranks is wrong"


def input_added(wrong: WrongArray, facts: Facts) -> str:
    """Detects that the difference is a multiple of a replicated input, such as a bias that every rank adds.

    Example: the right value is 10, with a bias of 1. If 3 ranks add the bias before the sum, the result is
    12. So the difference is (3 - 1) times the bias.
    """
    p = len(wrong.by_rank)
    for name, array in facts.inputs.items():
        if not array.any():
            continue
        try:
            spread = np.broadcast_to(array, wrong.whole.shape).astype(float)
        except ValueError:
            continue
        wholes = [
            wrong.sharding.part(spread, facts.parts[rank], facts.number)
            if isinstance(wrong.sharding, Sharded)
            else spread
            for rank in wrong.ranks
        ]
        factors = [
            ratio(got - want, one, wrong.clean)
            for got, want, one in zip(wrong.got, wrong.wanted, wholes, strict=True)
            if got.shape == want.shape
        ]
        if not factors or None in factors or max(factors) - min(factors) > wrong.clean:  # type: ignore[type-var, operator]
            continue
        k: float = factors[0]  # type: ignore[assignment]
        if math.isclose(k, p - 1, rel_tol=wrong.clean):
            return f"off by {p - 1} times '{name}': each rank adds it before the sum, so it counts {p} times"
        if math.isclose(k, -1, rel_tol=wrong.clean):
            return f"off by '{name}': no rank adds it"
        if math.isclose(k, 1 / p - 1, rel_tol=wrong.clean):
            return f"only 1/{p} of '{name}' is added: a mean includes the bias"
    return ""


def _rest_right(wrong: WrongArray, ranks: Sequence[int]) -> bool:
    return all(fine for rank, fine in zip(wrong.ranks, wrong.right, strict=True) if rank not in ranks)
