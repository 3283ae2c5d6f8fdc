"""Parses JSON from an unknown source. It limits the nesting depth, the number of values, and the number of
digits of a number. A name may occur only once in an object.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import accumulate
from typing import Any

from minipar.errors import MiniparError, shown

DEPTH, DIGITS, VALUES = 32, 400, 1_000_000
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"', re.S)
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def parse_json(data: bytes, where: object, error: type[MiniparError], *, values: int = VALUES) -> Any:
    """Parse UTF-8 text, which may begin with a byte-order mark. Returns the values.

    values: the largest number of values. where: the name of the file, for errors. Raises `error` for invalid
    JSON, and for JSON that exceeds a limit.
    """
    if data.count(b",") + data.count(b"[") + data.count(b"{") >= values:
        raise error(f"{where}: more than {values:,} values; give a smaller file", item=str(where))
    if data.count(b"[") + data.count(b"{") > DEPTH:
        steps = (_STEP[byte] for byte in re.sub(rb"[^\[\]{}]", b"", _TEXT.sub(b"", data)))
        if max(accumulate(steps), default=0) > DEPTH:
            raise error(f"{where}: JSON with more than {DEPTH} nested brackets", item=str(where))
    try:
        return json.loads(data.decode("utf-8-sig"), parse_int=_whole, parse_float=_real,
                          object_pairs_hook=_unique)
    except UnicodeDecodeError as cause:
        raise error(f"{where}: not UTF-8: byte {cause.start}; write JSON as text", item=str(where)) from cause
    except json.JSONDecodeError as cause:
        raise error(f"{where}, line {cause.lineno}, column {cause.colno}: not JSON: {cause.msg}",
                    item=str(where)) from cause
    except (ValueError, RecursionError) as cause:
        raise error(f"{where}: cannot read this JSON: {cause}", item=str(where)) from cause


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Returns the object of these names and values. Raises ValueError if a name occurs twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        (repeated, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the name {shown(repeated)} occurs twice in an object")
    return found


def _whole(text: str) -> int:
    return int(_short(text))


def _real(text: str) -> float:
    return float(_short(text))


def _short(text: str) -> str:
    if len(text) > DIGITS:
        raise ValueError(f"a number of {len(text):,} digits, more than {DIGITS}")
    return text
