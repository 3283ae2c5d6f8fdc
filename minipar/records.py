"""Checks the types in records (dataclasses). Each value must have the declared type of its field.

Python does not check annotations. A value from a file or a caller may be "8" instead of 8. Without a check,
this value would cause an error later, far from its origin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from fractions import Fraction
from functools import cache
from numbers import Integral, Real
from typing import Any, TypeVar, get_type_hints

from minipar.errors import ConfigError, shown

Kind = TypeVar("Kind")
Number = int | float | Fraction  # the type of numbers in formulas: with int and Fraction, results are exact


def is_whole(value: object) -> bool:
    """Returns whether the value is a whole number of Python or NumPy. True and False do not count as numbers.
    """
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Returns whether the value is a real number that float can represent, NaN or infinity. True and False do
    not count as numbers.
    """
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        float(value)
    except OverflowError:
        return False
    return True


# cached, since every new record calls this function
_declared: Callable[[Any], dict[str, Any]] = cache(get_type_hints)

# declared type -> a function that tests a value, and the name of the type in errors
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
    """Raises ConfigError for the first field whose value does not have the declared type."""
    for name, kind in _declared(type(record)).items():
        _require_type(name, getattr(record, name), kind)


def _require_type(name: str, value: object, kind: object) -> None:
    fits, wanted = KINDS[kind]
    if not fits(value):
        raise ConfigError(f"{name} is {shown(value)}; it must be {wanted}", item=name)


def record_from(kind: type[Kind], values: Any, what: str) -> Kind:
    """Make a record from a file's dictionary of fields. A missing field gets its default.

    what: the name of the record, for errors. Raises ConfigError for values that are not a dictionary and for
    unknown fields. Also raises the errors of the record itself.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"{what} is {shown(values)}; it must be a list of fields with their values",
                          item=what)
    known = {field.name for field in fields(kind)}                  # type: ignore[arg-type]
    if unknown := [name for name in values if name not in known]:
        raise ConfigError(f"it has unknown fields: {', '.join(map(str, unknown))}; "
                          f"use the version of minipar that wrote it")
    declared = _declared(kind)
    for name, value in values.items():
        _require_type(name, value, declared[name])
    return kind(**values)
