"""Records (dataclasses) whose fields are checked: each value must be of the type that its field declares.

Python does not check annotations. What comes from a file or from a caller may be "8" where 8 belongs, and
would fail late, far from where it was given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from fractions import Fraction
from numbers import Integral, Real
from typing import Any, TypeVar, get_type_hints

from minipar.errors import ConfigError, shown

Kind = TypeVar("Kind")
Number = int | float | Fraction                                     # exact where what it is made of is exact


def is_whole(value: object) -> bool:
    """Whether it is a whole number, Python's or NumPy's; True and False are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Whether it is a real number that a float can hold, NaN and infinity included."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        float(value)
    except OverflowError:
        return False
    return True


# What a field declares: how to test a value for it, and what to ask for.
KINDS: dict[object, tuple[Callable[[object], bool], str]] = {
    int: (is_whole, "a whole number"),
    float: (is_number, "a number"),
    bool: (lambda value: isinstance(value, bool), "true or false"),
    str: (lambda value: isinstance(value, str), "a text"),
    int | None: (lambda value: value is None or is_whole(value), "a whole number, or nothing"),
    tuple[int, ...]: (lambda value: isinstance(value, tuple) and all(map(is_whole, value)),
                      "a tuple of whole numbers"),
}


def require_types(record: object) -> None:
    """Raises ConfigError, which names the first field whose value is of another type than the field
    declares.
    """
    for name, kind in get_type_hints(type(record)).items():
        _require_type(name, getattr(record, name), kind)


def _require_type(name: str, value: object, kind: object) -> None:
    fits, wanted = KINDS[kind]
    if not fits(value):
        raise ConfigError(f"{name} is {shown(value)}; it must be {wanted}", item=name)


def record_from(kind: type[Kind], values: Any, what: str) -> Kind:
    """The record that a file describes by a dictionary; a field that is left out has its default.

    what: what the record is, for errors. Raises ConfigError for anything that is not such a dictionary, and
    as the record does.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"{what} is {shown(values)}; it must be a list of fields with their values",
                          item=what)
    known = {field.name for field in fields(kind)}                  # type: ignore[arg-type]
    if unknown := [name for name in values if name not in known]:
        raise ConfigError(f"it tells of {', '.join(map(str, unknown))}, which this minipar does not know; "
                          f"use the version of minipar that wrote it")
    declared = get_type_hints(kind)
    for name, value in values.items():
        _require_type(name, value, declared[name])
    return kind(**values)
