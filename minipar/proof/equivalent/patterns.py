"""What kind of mistake does a wrong array look like? Most give themselves away by a ratio, or by where they are
wrong.

A pattern is a function of a wrong array that returns a text, or "" where it does not fit. The first one that
fits in PATTERNS is what is said.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations

import numpy as np

from minipar.proof.clues import CLEAN, ratio
from minipar.proof.equivalent.sharding import Replicated, Sharded, Sharding
from minipar.proof.findings import difference

UNKNOWN = "no multiple of the right value"
MOST_ORDERS = 5                                                     # ranks whose orders are all tried: 120


@dataclass(frozen=True)
class Facts:
    """What is known of the run.

    parts        the number of each rank among the parts that a sharded array has
    number       how many parts there are
    axes         name of a group of ranks -> the ranks of each such group, such as "dp" -> [[0, 2], [1, 3]]
    inputs       the arrays that every rank is given whole, by name
    counts       how many samples (or other indices) each rank has of those that are sharded unevenly
    pieces       micro-batches
    """

    parts: Sequence[int]
    number: int
    axes: Mapping[str, Sequence[Sequence[int]]]
    inputs: Mapping[str, np.ndarray] = field(default_factory=dict)
    counts: Sequence[Sequence[int]] = ()
    pieces: int = 1

    def holders(self, got: Sequence[np.ndarray | None]) -> list[int]:
        """The ranks that should have an array: all of them, or those of the pipeline stages that have it."""
        if "pp" not in self.axes:
            return list(range(len(got)))
        stages = zip(*self.axes["pp"], strict=True)                 # the ranks of each stage
        return sorted(rank for stage in stages if any(got[rank] is not None for rank in stage) for rank in stage)


@dataclass(frozen=True)
class WrongArray:
    """ranks: those that hold it. got, wanted, right: on each of them; a partial array is summed up as one.
    by_rank: what every rank gave, before any sum.
    """

    name: str
    sharding: Sharding
    whole: np.ndarray
    ranks: Sequence[int]
    got: Sequence[np.ndarray]
    wanted: Sequence[np.ndarray]
    right: Sequence[bool]
    by_rank: Sequence[np.ndarray | None]

    @property
    def ratios(self) -> list[float | None]:
        return [ratio(got, want) for got, want in zip(self.got, self.wanted, strict=True)]


def same(one: np.ndarray, other: np.ndarray) -> bool:
    return difference(one, other)[1] <= CLEAN


def kind_of(wrong: WrongArray, facts: Facts) -> str:
    """What the first pattern that fits says."""
    return next(filter(None, (pattern(wrong, facts) for pattern in PATTERNS)))


def not_finite(wrong: WrongArray, facts: Facts) -> str:
    bad = [rank for rank, got in zip(wrong.ranks, wrong.got, strict=True) if not np.isfinite(got).all()]
    return f"NaN or infinite on rank {bad[0]}: a buffer that was never filled, or a division by zero" if bad else ""


def another_shape(wrong: WrongArray, facts: Facts) -> str:
    if all(got.shape == want.shape for got, want in zip(wrong.got, wrong.wanted, strict=True)):
        return ""
    shapes = list(dict.fromkeys(got.shape for got in wrong.got))
    said = f"of shape {', '.join(map(str, shapes[:2]))}, not {wrong.wanted[0].shape}"
    if all(got.shape == wrong.whole.shape for got in wrong.got):
        return f"{said}: each rank has the whole, not its shard"
    if all(got.shape == want.T.shape for got, want in zip(wrong.got, wrong.wanted, strict=True)):
        return f"{said}: transposed"
    for axis in range(wrong.whole.ndim):
        others = wrong.whole.shape[:axis] + wrong.whole.shape[axis + 1:]
        if all(got.ndim == wrong.whole.ndim and got.shape[:axis] + got.shape[axis + 1:] == others
               for got in wrong.got):
            total, length = sum(got.shape[axis] for got in wrong.got), wrong.whole.shape[axis]
            if total == length:
                return (f"{said}: each rank has a part along axis {axis}; a gather is missing, or shards should "
                        "name it Shard")
            if all(got.shape[axis] < want.shape[axis] for got, want in zip(wrong.got, wrong.wanted, strict=True)) \
                    or total < length and isinstance(wrong.sharding, Sharded):
                return f"{said}: indices of axis {axis} are missing; a remainder that does not divide is dropped"
    return said


def zero(wrong: WrongArray, facts: Facts) -> str:
    bad = [not got.any() and want.any() for got, want in zip(wrong.got, wrong.wanted, strict=True)]
    if all(bad):
        return "zero: nothing arrives"
    ranks = [rank for rank, is_zero in zip(wrong.ranks, bad, strict=True) if is_zero]
    return f"zero on {_ranks(ranks)}: nothing arrives there" if ranks and _rest_right(wrong, ranks) else ""


def one_ratio(wrong: WrongArray, facts: Facts) -> str:
    """The same multiple of the right array on every rank."""
    ratios = wrong.ratios
    if None in ratios or max(ratios) - min(ratios) > CLEAN:        # type: ignore[type-var, operator]
        return ""
    if abs(ratios[0] - 1) <= CLEAN:                                 # type: ignore[operator]
        return "right to some digits only: precision is lost on the way"
    return f"{ratios[0]:.6g} times the right value{_meaning(ratios[0], facts)}"  # type: ignore[arg-type]


def _meaning(value: float, facts: Facts) -> str:
    """What the usual ratios mean, in words."""
    known: list[tuple[float, str]] = []
    for axis, groups in facts.axes.items():
        p = len(groups[0])
        known += [(p, f"{axis} = {p}: summed over the ranks, though each has the whole already, or a mean is "
                      "missing"),
                  (1 / p, f"1/{p} for {axis} = {p}: averaged over the ranks, though the parts have to be added "
                          "up, or averaged twice"),
                  (p * p, f"{p} times {p}: summed twice too often"), (1 / p / p, f"1/{p * p}: averaged twice too "
                                                                                 "often")]
    pieces = facts.pieces
    known += [(pieces, f"as many as there are micro-batches ({pieces}): each counts as the whole batch"),
              (1 / pieces, f"1/{pieces} for {pieces} micro-batches: divided by their number on top"),
              (-1, "another sign")]
    meant = list(dict.fromkeys(text for number, text in known
                               if number != 1 and math.isclose(number, value, rel_tol=CLEAN)))
    return ", " + "; or ".join(meant) if meant else ""


def missing_sum(wrong: WrongArray, facts: Facts) -> str:
    """Each rank has a part, and the sum over the ranks of an axis is right."""
    for axis, groups in facts.axes.items():
        group = next((group for group in groups if wrong.ranks[0] in group), ())
        parts = [wrong.by_rank[rank] for rank in group]
        if len(parts) < 2 or any(part is None or part.shape != wrong.wanted[0].shape for part in parts):
            continue
        if all(same(parts[0], part) for part in parts):             # type: ignore[arg-type]
            continue                                                # copies, whose ratio says more
        total = np.sum(np.stack(parts), axis=0)                     # type: ignore[arg-type]
        if same(total, wrong.wanted[0]):
            return (f"a part on each rank, and the sum over {axis} is right, so a reduce over {axis} is missing")
        if same(total / len(parts), wrong.wanted[0]):
            return f"another value on each rank, and the mean over {axis} is right, so a mean over {axis} is missing"
    return ""


def own_counts(wrong: WrongArray, facts: Facts) -> str:
    """Ranks divide by the number of samples that they have themselves, and shares are uneven."""
    ratios = wrong.ratios
    if None in ratios or isinstance(wrong.sharding, Sharded) and any(wrong.right):
        return ""
    for counts in facts.counts:
        total = sum(counts)
        meant = [total / counts[rank] if counts[rank] else 0.0 for rank in wrong.ranks]
        for factor in (1.0, 1 / len(counts)):
            if all(math.isclose(got, factor * want, rel_tol=CLEAN)  # type: ignore[arg-type]
                   for got, want in zip(ratios, meant, strict=True)):
                return "off by another factor on each rank: each divides by its own number of samples"
    shown = ", ".join(f"{one:.4g}" for one in ratios[:4])
    return f"off by another factor on each rank ({shown}): ranks scale by numbers of their own"


def some_ranks_right(wrong: WrongArray, facts: Facts) -> str:
    """Copies that are right on some ranks; shards of which one is wrong."""
    right = [rank for rank, fine in zip(wrong.ranks, wrong.right, strict=True) if fine]
    bad = [rank for rank, fine in zip(wrong.ranks, wrong.right, strict=True) if not fine]
    if not right:
        return ""
    if isinstance(wrong.sharding, Replicated):
        return (f"right on {_ranks(right)}, wrong on {_ranks(bad)}: a reduce to one rank where all need it, or a "
                "broadcast is missing")
    factors = [one for one, fine in zip(wrong.ratios, wrong.right, strict=True) if not fine]
    value = f", {factors[0]:.4g} times the right value" if len(factors) == 1 and factors[0] is not None else ""
    which = "shard of rank" if len(bad) == 1 else "shards of ranks"
    return f"right on {_ranks(right)}; only the {which} {', '.join(map(str, bad))} {'is' if len(bad) == 1 else 'are'} wrong{value}"


def exchanged(wrong: WrongArray, facts: Facts) -> str:
    """Each rank has the shard of another one."""
    if not isinstance(wrong.sharding, Sharded) or len(wrong.ranks) < 2:
        return ""
    holds = []
    for rank, got in zip(wrong.ranks, wrong.got, strict=True):
        found = [other for other, want in zip(wrong.ranks, wrong.wanted, strict=True) if same(got, want)]
        if not found or rank in found:
            return ""
        holds.append(found[0])
    shifts = {(held - rank) % len(holds) for rank, held in zip(wrong.ranks, holds, strict=True)}
    if len(shifts) == 1:
        return f"permuted: each rank has the shard of the rank {_steps(shifts.pop(), len(holds))}"
    return ("permuted: " + ", ".join(f"rank {rank} has the shard of rank {held}"
                                     for rank, held in zip(wrong.ranks, holds, strict=True) if rank != held))


def _steps(shift: int, ranks: int) -> str:
    return f"{shift} above" if shift <= ranks // 2 else f"{ranks - shift} below"


def off_by_some(wrong: WrongArray, facts: Facts) -> str:
    """A shard that begins too early or too late, or a whole that is rolled. What lies beyond the ends of the
    whole is not looked at.
    """
    sharding = wrong.sharding
    for axis in range(wrong.whole.ndim):
        sharded = isinstance(sharding, Sharded) and axis == sharding.axis % wrong.whole.ndim
        if wrong.whole.shape[axis] <= 3 or any(one.shape != want.shape for one, want
                                               in zip(wrong.got, wrong.wanted, strict=True)):
            continue
        for shift, kept, end in ((1, slice(None, -1), facts.number - 1), (-1, slice(1, None), 0)):
            whole = np.roll(wrong.whole, -shift, axis)
            pairs = []
            for rank, got in zip(wrong.ranks, wrong.got, strict=True):
                want = sharding.part(whole, facts.parts[rank], facts.number) if isinstance(sharding, Sharded) \
                    else whole
                inner = (slice(None),) * axis + (kept,) if not sharded or facts.parts[rank] == end else ()
                pairs.append((got[inner], want[inner]))
            if all(same(*pair) for pair in pairs):
                return f"shifted: it begins one index too {'late' if shift == 1 else 'early'} along axis {axis}"
    return ""


def another_order(wrong: WrongArray, facts: Facts) -> str:
    """The right numbers in another order: parts that were gathered or dealt out in the order of other ranks."""
    got, want = wrong.got[0], wrong.wanted[0]
    if not same(np.sort(got, axis=None), np.sort(want, axis=None)):
        return ""
    for axis in range(want.ndim):
        rows, right = np.moveaxis(got, axis, 0), np.moveaxis(want, axis, 0)
        if facts.number <= MOST_ORDERS:
            blocks = np.array_split(right, facts.number)
            for order in permutations(range(facts.number)):
                if same(np.concatenate([blocks[part] for part in order]), rows):
                    return (f"permuted along axis {axis}: the ranks' parts stand in the order "
                            f"{', '.join(map(str, order))}")
        if same(rows[::-1], right):
            return f"permuted along axis {axis}: in reverse"
        if same(np.sort(rows, axis=0), np.sort(right, axis=0)):
            return f"permuted along axis {axis}: the right numbers in another order"
    return "permuted: the right numbers in another order"


def input_added(wrong: WrongArray, facts: Facts) -> str:
    """What is off is a multiple of an input that every rank has whole, such as a bias."""
    p = len(wrong.by_rank)
    for name, array in facts.inputs.items():
        if not array.any():
            continue
        try:
            spread = np.broadcast_to(array, wrong.whole.shape).astype(float)
        except ValueError:
            continue
        wholes = [wrong.sharding.part(spread, facts.parts[rank], facts.number)
                  if isinstance(wrong.sharding, Sharded) else spread for rank in wrong.ranks]
        factors = [ratio(got - want, one) for got, want, one
                   in zip(wrong.got, wrong.wanted, wholes, strict=True) if got.shape == want.shape]
        if not factors or None in factors or max(factors) - min(factors) > CLEAN:  # type: ignore[type-var, operator]
            continue
        k: float = factors[0]                                       # type: ignore[assignment]
        if math.isclose(k, p - 1, rel_tol=CLEAN):
            return f"off by {p - 1} times '{name}': each rank adds it before the sum, so that it counts {p} times"
        if math.isclose(k, -1, rel_tol=CLEAN):
            return f"off by '{name}': nobody adds it"
        if math.isclose(k, 1 / p - 1, rel_tol=CLEAN):
            return f"only 1/{p} of '{name}' is added: a mean is taken where the bias is inside"
        return f"off by {k:.6g} times '{name}'"
    return ""


def one_part_wrong(wrong: WrongArray, facts: Facts) -> str:
    """A whole array that is wrong only where one rank's part of it is, or only from some index on."""
    got, want = wrong.got[0], wrong.wanted[0]
    if isinstance(wrong.sharding, Sharded) or not want.ndim:
        return ""
    largest = abs(want).max() or 1.0
    off = abs(got - want) > CLEAN * largest
    for axis in range(want.ndim):
        lines = np.flatnonzero(off.any(axis=tuple(other for other in range(want.ndim) if other != axis)))
        counts = [len(part) for part in np.array_split(np.arange(want.shape[axis]), facts.number)]
        for rank, end in enumerate(np.cumsum(counts)):
            begin = end - counts[rank]
            if counts[rank] and begin <= lines[0] and lines[-1] < end and len(lines) < want.shape[axis]:
                part = np.moveaxis(got, axis, 0)[begin:end]
                what = "zero there: nothing arrives" if not part.any() else "wrong there alone"
                return f"wrong only in the part of rank {rank} along axis {axis}, and {what}"
        if len(lines) < want.shape[axis] and lines[-1] == want.shape[axis] - 1 and len(lines) == lines[-1] - lines[0] + 1:
            return f"right up to index {lines[0] - 1} of axis {axis}, and wrong from there on"
    return ""


def differs(wrong: WrongArray, facts: Facts) -> str:
    """Nothing else is known."""
    if isinstance(wrong.sharding, Replicated) and len(wrong.got) > 1 \
            and not all(same(wrong.got[0], other) for other in wrong.got):
        return f"{UNKNOWN}, and another one on each rank"
    return UNKNOWN


def _ranks(ranks: Sequence[int]) -> str:
    return f"rank{'s' * (len(ranks) > 1)} {', '.join(map(str, ranks))}"


def _rest_right(wrong: WrongArray, ranks: Sequence[int]) -> bool:
    return all(fine for rank, fine in zip(wrong.ranks, wrong.right, strict=True) if rank not in ranks)


PATTERNS: tuple[Callable[[WrongArray, Facts], str], ...] = (
    not_finite, exchanged, another_shape, missing_sum, zero, one_ratio, off_by_some, own_counts, some_ranks_right,
    input_added, another_order, one_part_wrong, differs)
