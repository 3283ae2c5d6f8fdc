"""Detects numbers that are at the wrong index or on the wrong rank: a wrong shape, permuted or shifted
shards, wrong borders, or one wrong part.
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
    rank, shape, right = next((rank, got.shape, want.shape) for rank, got, want
                              in zip(wrong.ranks, wrong.got, wrong.wanted, strict=True)
                              if got.shape != want.shape)
    said = f"has shape {shape} on rank {rank}, not {right}"
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
    """Detects that each wrong rank has the shard of another rank."""
    if not isinstance(wrong.sharding, Sharded) or len(wrong.ranks) < 2:
        return ""
    held: dict[int, int] = {}  # wrong rank -> the rank whose shard it has
    for rank, got, fine in zip(wrong.ranks, wrong.got, wrong.right, strict=True):
        pairs = zip(wrong.ranks, wrong.wanted, strict=True)
        found = [other for other, want in pairs if wrong.same(got, want)]
        if not fine and (not found or rank in found):
            return ""
        if not fine:
            held[rank] = found[0]
    owner = next(iter(held.values()))
    if len(held) > 1 and set(held.values()) == {owner}:
        return f"every rank has the shard of rank {owner}: a broadcast instead of a scatter"
    shifts = {(other - rank) % len(wrong.ranks) for rank, other in held.items()}
    if len(shifts) == 1 and len(held) == len(wrong.ranks):
        return f"permuted: each rank has the shard of the rank that is {_steps(shifts.pop(), len(held))}"
    said = [f"rank {rank} has the shard of rank {other}" for rank, other in held.items()]
    return f"permuted: {', '.join(said)}"


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


def only_borders(wrong: WrongArray, facts: Facts) -> str:
    """Detects shards in which only the first or the last index is wrong. These indices need values of the
    neighbouring ranks (a halo). They are also wrong if the program clips indices outside the shard to its
    ends.
    """
    if not isinstance(wrong.sharding, Sharded):
        return ""
    axis, ends = wrong.sharding.axis % wrong.whole.ndim, set[tuple[int, str]]()
    for rank, got, want, fine in zip(wrong.ranks, wrong.got, wrong.wanted, wrong.right, strict=True):
        length = want.shape[axis]
        if fine:
            continue
        lines = _wrong_lines(wrong, got, want, axis)
        if got.shape != want.shape or length < 3 or not set(lines) <= {0, length - 1}:
            return ""
        ends |= {(facts.parts[rank], "last" if line else "first") for line in lines}
    outer = {(0, "first"), (facts.number - 1, "last")}              # the ends of the whole array
    inner = ends - outer or ends
    which = " and the ".join(name for name in ("first", "last") if any(end == name for _, end in inner))
    if ends <= outer:
        return f"wrong only at the {which} index of the whole array along axis {axis}, at its boundary"
    return (f"wrong only at the {which} index of the shards along axis {axis}; usually values of a "
            "neighbouring rank (a halo) are missing or wrong, or indices outside a shard were clipped to its "
            "ends")


def dealt_out(wrong: WrongArray, facts: Facts) -> str:
    """Detects shards that hold the right numbers of the whole array, but not of their own indices."""
    if not isinstance(wrong.sharding, Sharded) or wrong.sharding.blocks > 1:
        return ""
    axis, ranks = wrong.sharding.axis % wrong.whole.ndim, range(facts.number)
    first = {facts.parts[rank]: got for rank, got in reversed(list(zip(wrong.ranks, wrong.got, strict=True)))}
    if set(first) != set(ranks) or any(one.ndim != wrong.whole.ndim for one in first.values()):
        return ""
    moved = np.moveaxis(wrong.whole, axis, 0)
    if all(wrong.same(np.moveaxis(first[part], axis, 0), moved[part::facts.number]) for part in ranks):
        p = facts.number
        return (f"rank r has the indices r, r + {p}, r + {2 * p}, ... of axis {axis} (round robin), instead "
                "of consecutive indices")
    values = np.concatenate([first[part].reshape(-1) for part in ranks])
    if wrong.same(np.sort(values), np.sort(wrong.whole, axis=None)) and not another_order(wrong, facts):
        return f"permuted between the ranks along axis {axis}: the right numbers, but on other ranks"
    return ""


def another_order(wrong: WrongArray, facts: Facts) -> str:
    """Detects the right numbers in a wrong order. For example, a gather put the ranks' parts in a wrong
    order.
    """
    pairs = list(zip(wrong.got, wrong.wanted, strict=True))
    if not all(wrong.same(np.sort(got, axis=None), np.sort(want, axis=None)) for got, want in pairs):
        return ""
    orders = {_order(wrong, facts, got, want) for got, want in pairs}
    return orders.pop() if len(orders) == 1 else "permuted: the right numbers in a wrong order"


def _order(wrong: WrongArray, facts: Facts, got: np.ndarray, want: np.ndarray) -> str:
    """Describes the wrong order of the numbers of one rank."""
    if want.ndim == 2 and wrong.same(got.T, want):
        return "transposed"
    for axis in range(want.ndim):
        rows, right = np.moveaxis(got, axis, 0), np.moveaxis(want, axis, 0)
        if wrong.same(rows[::-1], right):
            return f"permuted along axis {axis}: the order is reversed"
        sharded = isinstance(wrong.sharding, Sharded) and axis == wrong.sharding.axis % want.ndim
        parts = {"the ranks' parts": 1 if sharded else facts.number, "the micro-batches": facts.pieces}
        for what, number in parts.items():                          # a shard has no parts of other ranks
            if 1 < number <= MOST_ORDERS and (order := _order_of_parts(wrong, rows, right, number)):
                return f"permuted along axis {axis}: {what} are in the order {', '.join(map(str, order))}"
        if wrong.same(np.sort(rows, axis=0), np.sort(right, axis=0)):
            return f"permuted along axis {axis}: the right numbers in a wrong order"
    return "permuted: the right numbers in a wrong order"


def _order_of_parts(wrong: WrongArray, rows: np.ndarray, right: np.ndarray, number: int) -> tuple[int, ...]:
    """Returns the order in which `rows` holds the parts of `right` along axis 0, or () if no order fits."""
    parts = np.array_split(right, number)
    for order in permutations(range(number)):
        if wrong.same(np.concatenate([parts[part] for part in order]), rows):
            return order
    return ()


def _wrong_lines(wrong: WrongArray, got: np.ndarray, want: np.ndarray, axis: int) -> list[int]:
    """Returns the indices of an axis at which an element is wrong; [] for arrays of different shapes."""
    if got.shape != want.shape:
        return []
    off = abs(got - want) > wrong.clean * (abs(want).max(initial=0.0) or 1.0)
    others = tuple(other for other in range(want.ndim) if other != axis)
    lines: list[int] = np.flatnonzero(off.any(axis=others)).tolist()
    return lines


def only_own_part(wrong: WrongArray, facts: Facts) -> str:
    """Detects copies in which each rank has updated its own part, but holds no right part of another rank."""
    if isinstance(wrong.sharding, Sharded) or len(wrong.got) < 2:
        return ""
    for axis in range(wrong.whole.ndim):
        parts = np.array_split(np.arange(wrong.whole.shape[axis]), facts.number)
        wrong_lines = [set(_wrong_lines(wrong, got, wrong.whole, axis)) for got in wrong.got]
        others = [set(range(wrong.whole.shape[axis])) - set(parts[facts.parts[rank]].tolist())
                  for rank in wrong.ranks]
        if all(found and found == other for found, other in zip(wrong_lines, others, strict=True)):
            return f"each rank is right only in its own part along axis {axis}: an all-gather is missing"
    return ""


def one_part_wrong(wrong: WrongArray, facts: Facts) -> str:
    """Detects a whole array in which only the part of one rank is wrong, or in which all elements from one
    index on are wrong.
    """
    got, want = wrong.got[0], wrong.wanted[0]
    if isinstance(wrong.sharding, Sharded) or not want.ndim:
        return ""
    for axis in range(want.ndim):
        lines = _wrong_lines(wrong, got, want, axis)
        if not lines:
            return ""
        counts = [len(part) for part in np.array_split(np.arange(want.shape[axis]), facts.number)]
        for rank, end in enumerate(np.cumsum(counts)):
            begin = end - counts[rank]
            if counts[rank] and begin <= lines[0] and lines[-1] < end and len(lines) < want.shape[axis]:
                if len(lines) < counts[rank]:
                    which = f"index {lines[0]}" if len(lines) == 1 else f"indices {lines[0]} to {lines[-1]}"
                    return f"wrong only at {which} of axis {axis}, in the part of rank {rank}"
                part = np.moveaxis(got, axis, 0)[begin:end]
                what = "is zero: nothing arrives" if not part.any() else "holds other numbers"
                return f"only the part of rank {rank} along axis {axis} is wrong; this part {what}"
        if (
            len(lines) < want.shape[axis]
            and lines[-1] == want.shape[axis] - 1
            and len(lines) == lines[-1] - lines[0] + 1
        ):
            return f"indices 0 to {lines[0] - 1} of axis {axis} are right, and all later indices are wrong"
    return ""
