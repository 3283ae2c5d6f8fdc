"""Compares a rank's arrays with the reference, and combines the results of all ranks."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from minipar.proof.record import Record

# The tolerance in units of the machine epsilon: 4504. It is 1e-12 for float64, and 5.4e-4 for float32.
UNITS = 1e-12 / float(np.finfo(np.float64).eps)


def tolerance(dtype: str) -> float:
    """Returns the largest allowed error of an element, relative to the largest element of its array."""
    return UNITS * float(np.finfo(dtype).eps)


@dataclass(frozen=True)
class Finding:
    """The largest difference between an item and the reference. An item is a named result, such as
    "gradients".

    absolute, relative: the size of the difference. Both are infinite if a shape is wrong, or if an array is
    missing or superfluous. location: where the relative difference is largest (array, element and rank), or
    "" if there is no difference. bits: true if all bits are equal. proven: true if the item passes. noise:
    the relative difference between two runs on one process. The initial weights of the two runs differ in the
    last bit. limit: the largest allowed relative difference.
    """

    item: str
    absolute: float
    relative: float
    location: str
    bits: bool
    proven: bool
    noise: float = 0.0
    limit: float = 0.0


def differences(record: Record, reference: Record, limits: Mapping[str, float], exact: Container[str],
                noise: Mapping[str, float] = MappingProxyType({})) -> list[Finding]:
    """Returns one finding per item of this rank's record. reference: the expected record of this rank.
    limits: item -> largest allowed relative difference. exact: the items that must be bitwise equal. noise:
    item -> Finding.noise.
    """
    found = []
    for item, entries in record.items():
        if unmatched := sorted(reference[item].keys() ^ entries.keys()):
            first = unmatched[0]
            what = f"{first} is {'missing' if first in reference[item] else 'one too many'}"
            found.append(Finding(item, math.inf, math.inf, what, bits=False, proven=False))
            continue
        pairs = {at: (seen.values, seen.own(reference[item][at].values)) for at, seen in entries.items()}
        sizes = {at: difference(*pair) for at, pair in pairs.items()}
        # can be empty: only rank 0 has entries of the saved state
        worst = max(sizes, key=lambda at: sizes[at][1]) if sizes else None
        bits = all(got.tobytes() == want.tobytes() for got, want in pairs.values())
        absolute = max((size[0] for size in sizes.values()), default=0.0)
        relative = sizes[worst][1] if worst else 0.0
        proven = bits if item in exact else relative <= limits[item]
        found.append(Finding(item, absolute, relative,
                             f"{worst}{element(*pairs[worst])}" if worst and relative else "",
                             bits, proven, noise.get(item, 0.0), 0.0 if item in exact else limits[item]))
    return found


def difference(got: np.ndarray, want: np.ndarray) -> tuple[float, float]:
    """Returns the largest absolute difference of an element, and the same number divided by the largest
    absolute value in `want`.
    """
    if got.shape != want.shape:
        return math.inf, math.inf
    if got.tobytes() == want.tobytes():
        return 0.0, 0.0
    got, want = signed(got), signed(want)
    with np.errstate(all="ignore"):
        off, scale = float(abs(got - want).max()), float(abs(want).max())
    if not off:
        return 0.0, 0.0                                             # only -0.0 and 0.0 differ
    return (off, off / scale) if math.isfinite(off) and scale else (math.inf, math.inf)


def signed(array: np.ndarray) -> np.ndarray:
    """Returns an array that can be subtracted: booleans and small unsigned integers become int64. NumPy does
    not subtract booleans, and uint8 0 - 1 is 255. Arrays of uint64 stay, since int64 does not hold them.
    """
    small = array.dtype.kind == "u" and array.itemsize < 8
    return array.astype(np.int64) if small or array.dtype.kind == "b" else array


def element(got: np.ndarray, want: np.ndarray) -> str:
    """Returns the index of the largest difference as text, such as "[3, 5]". If the shapes differ,
    the text describes them, for example " has shape (2, 5), not (3, 5)".
    """
    if got.shape != want.shape:
        return f" has shape {got.shape}, not {want.shape}"
    off = abs(signed(got) - signed(want))
    index = np.unravel_index(int(np.argmax(np.nan_to_num(off, nan=np.inf))), got.shape)
    return f"[{', '.join(map(str, index))}]" if index else ""


def over_ranks(findings: Iterable[list[Finding]]) -> list[Finding]:
    """Returns one finding per item: the finding of the rank with the largest difference. findings: one list
    per rank. All lists have the same items.
    """
    merged = []
    for same in zip(*findings, strict=True):
        rank = max(range(len(same)), key=lambda rank: (same[rank].relative, not same[rank].proven))
        worst = same[rank]
        where = f"{worst.location} on rank {rank}" if worst.location and len(same) > 1 else worst.location
        merged.append(Finding(worst.item, max(one.absolute for one in same), worst.relative, where,
                              all(one.bits for one in same), all(one.proven for one in same), worst.noise,
                              worst.limit))
    return merged
