"""Names the parts of a result in words, as a person says them: "the first result", "the result 'grad x'"."""

from __future__ import annotations

import re
from collections.abc import Sequence

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


def part(name: str) -> str:
    """Return a noun for a part of a result. `leaves` gives the names.

    >>> part(""), part("[1]"), part("loss"), part("[0][2]"), part("rows[0]")
    ('result', 'second result', "result 'loss'", 'part [0][2] of the result', "result 'rows[0]'")
    """
    if not name:
        return "result"
    if (found := re.fullmatch(r"\[(\d+)\]", name)) and int(found[1]) < len(ORDINALS):
        return f"{ORDINALS[int(found[1])]} result"
    return f"part {name} of the result" if name.startswith("[") else f"result {name!r}"


def element(path: str) -> str:
    """Return words for an element inside a nested result. path: for example "[0]" or "['x']"."""
    if (found := re.fullmatch(r"\[(\d+)\]", path)) and int(found[1]) < len(ORDINALS):
        return f"{ORDINALS[int(found[1])]} element"
    found = re.fullmatch(r"\[('[^']*')\]", path)
    return f"value of {found[1]}" if found else f"element {path}"


def kind(type_name: str) -> str:
    """Return the name of a type with its article.

    >>> kind("float"), kind("int")
    ('a float', 'an int')
    """
    return f"an {type_name}" if type_name[:1] in "aeiou" else f"a {type_name}"


def listed(numbers: Sequence[int]) -> str:
    """Return the numbers as a text.

    >>> listed([1, 2, 4])
    '1, 2 and 4'
    """
    return " and ".join(part for part in (", ".join(map(str, numbers[:-1])), str(numbers[-1])) if part)
