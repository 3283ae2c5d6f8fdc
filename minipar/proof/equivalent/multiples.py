"""Detects arrays that are too large or too small: a multiple of the right array, a partial sum, or an input
that was added too often or not at all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from minipar.proof.clues import ratio
from minipar.proof.equivalent.sharding import Sharded
from minipar.proof.equivalent.wrong_array import Facts, WrongArray, ranks_text


def missing_sum(wrong: WrongArray, facts: Facts) -> str:
    """Detects partial sums: each rank's array is wrong, but the sum (or mean) over the ranks of an axis is
    right.
    """
    for axis, groups in facts.axes.items():
        group = next((group for group in groups if wrong.ranks[0] in group), ())
        parts = [part for rank in group if (part := wrong.by_rank[rank]) is not None]
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
    only_there = ranks and _rest_right(wrong, ranks)
    return f"zero on {ranks_text(ranks)}: nothing arrives there" if only_there else ""


def one_ratio(wrong: WrongArray, facts: Facts) -> str:
    """Detects that every rank has the right array times the same number."""
    ratios = wrong.known_ratios
    if not ratios or max(ratios) - min(ratios) > wrong.clean:
        return ""
    if abs(ratios[0] - 1) <= wrong.clean:
        return "only the leading digits are right: precision is lost"
    return f"{ratios[0]:.6g} times the right value{_meaning(ratios[0], facts)}"


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
    meant = list(
        dict.fromkeys(
            text for number, text in known if number != 1 and math.isclose(number, value, rel_tol=facts.clean)
        )
    )
    return ", " + "; or ".join(meant) if meant else ""


def own_counts(wrong: WrongArray, facts: Facts) -> str:
    """Detects that the ratio to the right array differs from rank to rank. The usual cause: the ranks have
    different numbers of samples, and each rank divides by its own number.
    """
    ratios = wrong.known_ratios
    if not ratios or isinstance(wrong.sharding, Sharded) and any(wrong.right):
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
