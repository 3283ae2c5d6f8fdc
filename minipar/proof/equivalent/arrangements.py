"""Detects numbers that are at the wrong index or on the wrong rank: a wrong shape, permuted or shifted
shards, or one wrong part.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np

from minipar.proof.equivalent.sharding import Sharded
from minipar.proof.equivalent.wrong_array import Facts, WrongArray

MOST_ORDERS = 5  # with at most 5 ranks, all orders of the ranks are tried (5! = 120)


def another_shape(wrong: WrongArray, facts: Facts) -> str:
    """Detects an array with a wrong shape, and explains the usual causes."""
    if all(got.shape == want.shape for got, want in zip(wrong.got, wrong.wanted, strict=True)):
        return ""
    shapes = list(dict.fromkeys(got.shape for got in wrong.got))
    said = f"has shape {', '.join(map(str, shapes[:2]))}, not {wrong.wanted[0].shape}"
    if all(got.shape == wrong.whole.shape for got in wrong.got):
        return f"{said}: each rank has the whole array instead of its shard"
    if all(got.shape == want.T.shape for got, want in zip(wrong.got, wrong.wanted, strict=True)):
        return f"{said}: transposed"
    for axis in range(wrong.whole.ndim):
        others = wrong.whole.shape[:axis] + wrong.whole.shape[axis + 1 :]
        if all(
            got.ndim == wrong.whole.ndim and got.shape[:axis] + got.shape[axis + 1 :] == others
            for got in wrong.got
        ):
            total, length = sum(got.shape[axis] for got in wrong.got), wrong.whole.shape[axis]
            if total == length:
                return (
                    f"{said}: each rank has a part along axis {axis}; add the missing gather, or declare the "
                    f"array as Shard({axis}) in `shards`"
                )
            if (
                all(
                    got.shape[axis] < want.shape[axis]
                    for got, want in zip(wrong.got, wrong.wanted, strict=True)
                )
                or total < length
                and isinstance(wrong.sharding, Sharded)
            ):
                return (
                    f"{said}: indices of axis {axis} are missing; the remainder of a division was dropped"
                )
    return said


def exchanged(wrong: WrongArray, facts: Facts) -> str:
    """Detects that each rank has the shard of another rank."""
    if not isinstance(wrong.sharding, Sharded) or len(wrong.ranks) < 2:
        return ""
    holds = []
    for rank, got in zip(wrong.ranks, wrong.got, strict=True):
        pairs = zip(wrong.ranks, wrong.wanted, strict=True)
        found = [other for other, want in pairs if wrong.same(got, want)]
        if not found or rank in found:
            return ""
        holds.append(found[0])
    shifts = {(held - rank) % len(holds) for rank, held in zip(wrong.ranks, holds, strict=True)}
    if len(shifts) == 1:
        return f"permuted: each rank has the shard of the rank that is {_steps(shifts.pop(), len(holds))}"
    return "permuted: " + ", ".join(
        f"rank {rank} has the shard of rank {held}"
        for rank, held in zip(wrong.ranks, holds, strict=True)
        if rank != held
    )


def _steps(shift: int, ranks: int) -> str:
    return f"{shift} higher" if shift <= ranks // 2 else f"{ranks - shift} lower"


def off_by_some(wrong: WrongArray, facts: Facts) -> str:
    """Detects a shard that begins one index too early or too late, or a whole array that is shifted by one
    index.

    Example: the whole array is 5 6 7 8 9, and the shard should be 7 8. A shard that begins one index too late
    is 8 9. At an end of the whole array, one number of the shard has no right value, and is not compared.
    """
    sharding = wrong.sharding
    for axis in range(wrong.whole.ndim):
        sharded = isinstance(sharding, Sharded) and axis == sharding.axis % wrong.whole.ndim
        if wrong.whole.shape[axis] <= 3 or any(
            one.shape != want.shape for one, want in zip(wrong.got, wrong.wanted, strict=True)
        ):
            continue
        for shift, kept, end in ((1, slice(None, -1), facts.number - 1), (-1, slice(1, None), 0)):
            whole = np.roll(wrong.whole, -shift, axis)
            pairs = []
            for rank, got in zip(wrong.ranks, wrong.got, strict=True):
                want = (
                    sharding.part(whole, facts.parts[rank], facts.number)
                    if isinstance(sharding, Sharded)
                    else whole
                )
                inner = (slice(None),) * axis + (kept,) if not sharded or facts.parts[rank] == end else ()
                pairs.append((got[inner], want[inner]))
            if all(wrong.same(*pair) for pair in pairs):
                return (
                    f"shifted: the array begins one index too {'late' if shift == 1 else 'early'} along "
                    f"axis {axis}"
                )
    return ""


def another_order(wrong: WrongArray, facts: Facts) -> str:
    """Detects the right numbers in a wrong order. For example, a gather put the ranks' parts in a wrong
    order.
    """
    got, want = wrong.got[0], wrong.wanted[0]
    if not wrong.same(np.sort(got, axis=None), np.sort(want, axis=None)):
        return ""
    for axis in range(want.ndim):
        rows, right = np.moveaxis(got, axis, 0), np.moveaxis(want, axis, 0)
        if facts.number <= MOST_ORDERS:
            blocks = np.array_split(right, facts.number)
            for order in permutations(range(facts.number)):
                if wrong.same(np.concatenate([blocks[part] for part in order]), rows):
                    return (
                        f"permuted along axis {axis}: the ranks' parts are in the order "
                        f"{', '.join(map(str, order))}"
                    )
        if wrong.same(rows[::-1], right):
            return f"permuted along axis {axis}: the order is reversed"
        if wrong.same(np.sort(rows, axis=0), np.sort(right, axis=0)):
            return f"permuted along axis {axis}: the right numbers in a wrong order"
    return "permuted: the right numbers in a wrong order"


def one_part_wrong(wrong: WrongArray, facts: Facts) -> str:
    """Detects a whole array in which only the part of one rank is wrong, or in which all elements from one
    index on are wrong.
    """
    got, want = wrong.got[0], wrong.wanted[0]
    if isinstance(wrong.sharding, Sharded) or not want.ndim:
        return ""
    largest = abs(want).max() or 1.0
    off = abs(got - want) > wrong.clean * largest
    for axis in range(want.ndim):
        lines = np.flatnonzero(off.any(axis=tuple(other for other in range(want.ndim) if other != axis)))
        counts = [len(part) for part in np.array_split(np.arange(want.shape[axis]), facts.number)]
        for rank, end in enumerate(np.cumsum(counts)):
            begin = end - counts[rank]
            if counts[rank] and begin <= lines[0] and lines[-1] < end and len(lines) < want.shape[axis]:
                part = np.moveaxis(got, axis, 0)[begin:end]
                what = "is zero: nothing arrives" if not part.any() else "is not zero"
                return f"only the part of rank {rank} along axis {axis} is wrong; this part {what}"
        if (
            len(lines) < want.shape[axis]
            and lines[-1] == want.shape[axis] - 1
            and len(lines) == lines[-1] - lines[0] + 1
        ):
            return f"indices 0 to {lines[0] - 1} of axis {axis} are right, and all later indices are wrong"
    return ""
