"""Finds errors in the types, shapes and dtypes of the results of a call.

`patterns.py` describes errors in the values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minipar.exercises.exercise import RankArguments
from minipar.exercises.wire import Opaque
from minipar.exercises.words import element, kind, part

OPAQUE = {  # type of a value that is no array -> next step
    "Tensor": "a tensor has its numbers in .data, and float(x.data) is one number",
    "ndarray": "does a list hold a handle or None in place of an array? a handle's wait() returns the array"}
CLEAN = 1e-6  # relative difference below which values count as equal


class Diagnosis(NamedTuple):
    """The description of an error in one line, and the next step."""

    text: str
    advice: str = ""


@dataclass(frozen=True)
class Leaf:
    """One array of the results, on all ranks of a call. name: "" if the function returns a single array.
    ranks: the number of ranks. wanted, got: one array per rank. tolerance: see `equal`. parameters:
    the names of the arguments; it may be empty.
    """

    name: str
    ranks: int
    arguments: list[RankArguments]
    wanted: list[np.ndarray]
    got: list[np.ndarray]
    tolerance: float
    parameters: Sequence[str] = ()

    @property
    def wrong(self) -> list[int]:
        """The ranks on which the array is wrong."""
        return [
            rank
            for rank in range(self.ranks)
            if not equal(self.got[rank], self.wanted[rank], self.tolerance)
        ]

    def matches(self, others: Sequence[np.ndarray | None]) -> bool:
        """Return True if the results equal `others` on all ranks, within the tolerance CLEAN."""
        return all(
            other is not None and other.shape == got.shape and equal(got, other, CLEAN)
            for got, other in zip(self.got, others, strict=True)
        )

    def inputs(self, rank: int, shape: tuple[int, ...] | None = None) -> list[np.ndarray]:
        """Return the rank's arguments that have this shape, by default the shape of its result."""
        shape = self.got[rank].shape if shape is None else shape
        return [
            one
            for one in self.arguments[rank]
            if isinstance(one, np.ndarray) and one.shape == shape and one.dtype.kind in "iuf"
        ]


def equal(got: np.ndarray, wanted: np.ndarray, tolerance: float) -> bool:
    """Return True if the arrays agree within `tolerance`, relative to the largest wanted number or to 1,
    whichever is larger. NaN equals NaN. Two arrays without a float, such as integers or texts, must be equal.
    """
    if got.shape != wanted.shape:
        return False
    kinds = got.dtype.kind + wanted.dtype.kind
    if not wanted.size or set(kinds).isdisjoint("fc") or not set(kinds) <= set("biufc"):
        return bool(np.array_equal(got, wanted))
    finite = np.isfinite(wanted)
    if not np.array_equal(finite, np.isfinite(got)) or not np.array_equal(
        got[~finite], wanted[~finite], equal_nan=True
    ):
        return False
    largest = max(1.0, float(np.abs(wanted[finite]).max(initial=0)))
    return bool((np.abs(got[finite] - wanted[finite]) <= tolerance * largest).all())


def leaves(value: Any, name: str = "") -> dict[str, Any]:
    """Return the parts of a result by name. Examples: {"": array}, {"[0]": ..., "[1]": ...}, {"grad x": ...}.
    """
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


def misfit(wanted: Any, got: Any, rank: int, ranks: int) -> Diagnosis | None:
    """Return the first error in the types, shapes or dtypes of one rank's results, or None. ranks: the number
    of ranks in the call.
    """
    parts, found = leaves(wanted), leaves(got)
    who = f"rank {rank} returns" if ranks > 1 else "the function returns"
    owner = f"rank {rank}'s" if ranks > 1 else "the"
    if got is None and wanted is not None:
        return Diagnosis(f"{who} None", "is a return missing on some path?")
    if parts.keys() != found.keys():
        differ = inner_misfit(wanted, got, "") or f"{shape_of(got)}; wanted is {shape_of(wanted)}"
        return Diagnosis(f"{who} {differ}", "return what the task says")
    for name, want in parts.items():
        have, which = found[name], f"{owner} {part(name)}"
        if want is None and have is None:
            continue
        if (
            isinstance(have, Opaque)
            or (have is None) != (want is None)
            or isinstance(want, str) != isinstance(have, str)
            or (not isinstance(want, np.ndarray) and isinstance(have, np.ndarray) and have.ndim > 0)
        ):
            advice = ("write it without quotes" if isinstance(have, str) and isinstance(want, int | float)
                      else OPAQUE.get(have.type, "return what the task says") if isinstance(have, Opaque)
                      else "return what the task says")
            return Diagnosis(f"{which} is {shape_of(have)}; wanted is {shape_of(want)}", advice)
        if np.asarray(have).dtype.kind == "O" and have is not None:
            return Diagnosis(
                f"{which} is not a number of at most 64 bits", "does a loop multiply this number too often?"
            )
        if isinstance(want, np.ndarray) and (text := array_misfit(want, have)):
            others = [part(other) for other, one in parts.items()
                      if isinstance(one, np.ndarray) and one.shape == getattr(have, "shape", None)
                      and getattr(found[other], "shape", None) == want.shape]
            advice = shape_advice(want, have, ranks)
            if others and have.shape != want.shape and "transposed" not in advice:
                advice = f"the {others[0]} should have this shape: are the results in the order of the task?"
            return Diagnosis(f"{which} {text}", advice)
    return None


def inner_misfit(wanted: Any, got: Any, name: str) -> str:
    """Describe the first part of a nested result whose type, length or keys are wrong. Return "" if there is
    none.
    """
    one, other = children(wanted), children(got)
    if one is None or other is None or list(one) != list(other):
        if one is None and other is None:
            return ""
        inside = f"a result whose {element(name)} is {shape_of(got)}" if name else shape_of(got)
        return f"{inside}; wanted is {shape_of(wanted)}"
    found = (inner_misfit(want, other[key], f"{name}[{key!r}]") for key, want in one.items())
    return next((text for text in found if text), "")


def children(value: Any) -> dict[Any, Any] | None:
    """Return the parts of a dict, a list or a tuple by key or index. Return None for other types."""
    if isinstance(value, dict):
        return dict(sorted(value.items()))
    return dict(enumerate(value)) if isinstance(value, tuple | list) else None


def array_misfit(want: np.ndarray, have: Any) -> str:
    if not isinstance(have, np.ndarray) and not (isinstance(have, np.generic) and want.ndim == 0):
        return f"is {shape_of(have)}; wanted is {shape_of(want)}"
    if have.shape != want.shape:
        return f"has shape {have.shape}; wanted is {want.shape}"
    if have.dtype != want.dtype:
        return f"has dtype {have.dtype}; wanted is {want.dtype}"
    return ""


def shape_advice(want: np.ndarray, have: Any, ranks: int) -> str:
    if not isinstance(have, np.ndarray):
        return "return a NumPy array"
    if have.shape == want.shape[::-1] and have.ndim > 1:
        return "is it transposed?"
    if have.shape != want.shape and have.squeeze().shape == want.squeeze().shape:
        return "one axis of length 1 is too many or missing: see keepdims=True, x[0] and x[:, None]"
    if have.shape != want.shape and have.ndim == want.ndim == 1 and ranks == 1:
        return "does a sum or a mean use the wrong axis? see the shapes in the task"
    if have.size > want.size and ranks > 1:
        return "is this more than this rank's own part?"
    return ("see the shapes in the task"
            if have.shape != want.shape
            else f"convert with .astype({str(want.dtype)!r})")


def shape_of(value: Any) -> str:
    """Describe a value in a few words."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    if isinstance(value, Opaque):
        if value.type == "ndarray":
            return "an array of objects that are not numbers"
        return kind(value.type)
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, dict):
        return f"a dict with {', '.join(map(str, value)) or 'nothing'}"
    return "None" if value is None else kind(type(value).__name__)

