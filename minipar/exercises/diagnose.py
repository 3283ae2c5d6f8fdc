"""What kind of wrong are the results of a call? One line, and the next step.

Each mistake leaves a trace in the numbers: a sum that is taken twice is p times too large, a chunk that is
off by
one lies on the neighbour. PATTERNS holds the traces that are looked for, the most telling first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np

from minipar.exercises.exercise import RankArguments
from minipar.exercises.wire import Opaque

CLEAN = 1e-6  # relative: what is closer is taken as meant


class Diagnosis(NamedTuple):
    """What is wrong, in one line, and what to do next."""

    text: str
    advice: str = ""


@dataclass(frozen=True)
class Leaf:
    """One array of the results, on all ranks of a call. name: "" where the function returns just one array.
    """

    name: str
    ranks: int
    arguments: list[RankArguments]
    wanted: list[np.ndarray]
    got: list[np.ndarray]
    tolerance: float

    @property
    def wrong(self) -> list[int]:
        """The ranks where it is wrong."""
        return [
            rank
            for rank in range(self.ranks)
            if not equal(self.got[rank], self.wanted[rank], self.tolerance)
        ]

    def matches(self, others: Sequence[np.ndarray | None]) -> bool:
        """Whether what came is `others` on all ranks, to a few digits; false where others hold nothing
        else.
        """
        return all(
            other is not None and other.shape == got.shape and equal(got, other, CLEAN)
            for got, other in zip(self.got, others, strict=True)
        )

    def inputs(self, rank: int) -> list[np.ndarray]:
        """The rank's arguments that have the shape of its result."""
        return [
            one
            for one in self.arguments[rank]
            if isinstance(one, np.ndarray) and one.shape == self.got[rank].shape and one.dtype.kind in "iuf"
        ]


def equal(got: np.ndarray, wanted: np.ndarray, tolerance: float) -> bool:
    """Whether they agree to `tolerance`, relative to the largest number wanted (and to 1); NaN equals NaN."""
    if got.shape != wanted.shape:
        return False
    if got.dtype.kind not in "fc" or not wanted.size:
        return bool(np.array_equal(got, wanted))
    finite = np.isfinite(wanted)
    if not np.array_equal(finite, np.isfinite(got)) or not np.array_equal(
        got[~finite], wanted[~finite], equal_nan=True
    ):
        return False
    largest = max(1.0, float(np.abs(wanted[finite]).max(initial=0)))
    return bool((np.abs(got[finite] - wanted[finite]) <= tolerance * largest).all())


def leaves(value: Any, name: str = "") -> dict[str, Any]:
    """The parts of a result by name: {"": array}, {"[0]": ..., "[1]": ...}, {"grad x": ...}."""
    if isinstance(value, dict):
        return {
            part: one
            for key, inside in value.items()
            for part, one in leaves(inside, f"{name}.{key}" if name else key).items()
        }
    if isinstance(value, tuple | list):
        return {
            part: one
            for number, inside in enumerate(value)
            for part, one in leaves(inside, f"{name}[{number}]").items()
        }
    return {name: value}


def misfit(wanted: Any, got: Any, rank: int) -> Diagnosis | None:
    """What is wrong with the types, shapes and dtypes of one rank's results; None if nothing is."""
    parts, found = leaves(wanted), leaves(got)
    if got is None and wanted is not None:
        return Diagnosis(f"rank {rank} returns None", "is a return missing on some path?")
    if parts.keys() != found.keys():
        return Diagnosis(
            f"rank {rank} returns {shape_of(got)}; wanted is {shape_of(wanted)}",
            "return what the task says",
        )
    for name, want in parts.items():
        have, which = found[name], f"rank {rank}{quoted(name)}"
        if want is None and have is None:
            continue
        if (
            isinstance(have, Opaque)
            or (have is None) != (want is None)
            or isinstance(want, str) != isinstance(have, str)
        ):
            return Diagnosis(
                f"{which} is {shape_of(have)}; wanted is {shape_of(want)}", "return what the task says"
            )
        if isinstance(want, np.ndarray) and (text := array_misfit(want, have)):
            return Diagnosis(f"{which} {text}", shape_advice(want, have))
    return None


def array_misfit(want: np.ndarray, have: Any) -> str:
    if not isinstance(have, np.ndarray) and not (isinstance(have, np.generic) and want.ndim == 0):
        return f"is {shape_of(have)}; wanted is {shape_of(want)}"
    if have.shape != want.shape:
        return f"has shape {have.shape}; wanted is {want.shape}"
    if have.dtype != want.dtype:
        return f"has dtype {have.dtype}; wanted is {want.dtype}"
    return ""


def shape_advice(want: np.ndarray, have: Any) -> str:
    if not isinstance(have, np.ndarray):
        return "return a NumPy array"
    if have.shape == want.shape[::-1] and have.ndim > 1:
        return "is it transposed?"
    if have.size > want.size:
        return "is this more than this rank's own part?"
    return ("see the shapes in the task"
            if have.shape != want.shape
            else f"convert with .astype({str(want.dtype)!r})")


def shape_of(value: Any) -> str:
    """A value in a few words."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    if isinstance(value, Opaque):
        return f"of type {value.type}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, dict):
        return f"a dict with {', '.join(map(str, value)) or 'nothing'}"
    return "None" if value is None else f"of type {type(value).__name__}"


def quoted(name: str) -> str:
    return f" {name!r}" if name else ""


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
    table = [
        (0.0, "is 0", "does anything arrive, and is it added?"),
        (-1.0, "has the wrong sign", "is something subtracted the wrong way round?"),
        (
            float(p),
            f"is {p} times too large",
            f"{p} is the number of ranks: is it summed twice, or is a mean missing?",
        ),
        (
            1 / p,
            f"is {p} times too small",
            f"{p} is the number of ranks: is it averaged where the sum is wanted, or "
            "is a sum over the ranks missing?",
        ),
        (
            float(p * p),
            f"is {p * p} times too large",
            f"{p} ranks, squared: is it summed twice over the ranks?",
        ),
        (2.0, "is twice too large", "is something added twice?"),
        (0.5, "is half of what it should be", "is a factor of 2 missing?"),
        (p - 1.0, f"is {p - 1} times too large", f"{p - 1} is the number of other ranks"),
    ]
    if abs(factor - 1) <= CLEAN:
        return Diagnosis(
            f"is right to some digits only{where}",
            "is something float32 on the way? is the formula the exact one?",
        )
    for value, text, advice in table:
        if math.isclose(factor, value, rel_tol=CLEAN, abs_tol=CLEAN) and value != 1:
            return Diagnosis(text + where, advice)
    return Diagnosis(
        f"is {factor:.6g} times the right one{where}", "which factor is missing, or one too many?"
    )


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
