"""Defines references to values. In the arguments of a recorded op call, a reference replaces each array.

Example: the call take(x, (slice(0, 4),)) has the arguments {"a": Ref("x"), "index": (slice(0, 4),)}.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Ref:
    """Refers to a value of a graph by its name. If `tensor` is true, the op takes this argument as a Tensor,
    otherwise as an array.
    """

    name: str
    tensor: bool = True


def leaves(argument: Any) -> Iterator[Any]:
    """Yield all leaves of an argument, in order. A leaf is not a tuple, a list or a dict.

    >>> list(leaves({"parts": [1, (2, None)], "axis": 0}))
    [1, 2, None, 0]
    """
    if isinstance(argument, tuple | list):
        for part in argument:
            yield from leaves(part)
    elif isinstance(argument, dict):
        yield from leaves(list(argument.values()))
    else:
        yield argument


def refs(argument: Any) -> Iterator[Ref]:
    """Yield all references in an argument, also inside tuples, lists and dicts.

    >>> [ref.name for ref in refs({"parts": [Ref("a"), Ref("b")], "axis": 0})]
    ['a', 'b']
    """
    return (leaf for leaf in leaves(argument) if isinstance(leaf, Ref))


def mapped(argument: Any, change: Callable[[Any], Any]) -> Any:
    """Return the argument in which `change(leaf)` replaces each leaf (see `leaves`).

    >>> mapped([Ref("a"), (2, 3)], lambda leaf: "array" if isinstance(leaf, Ref) else leaf)
    ['array', (2, 3)]
    """
    if isinstance(argument, tuple | list):
        return type(argument)(mapped(part, change) for part in argument)
    if isinstance(argument, dict):
        return {key: mapped(part, change) for key, part in argument.items()}
    return change(argument)
