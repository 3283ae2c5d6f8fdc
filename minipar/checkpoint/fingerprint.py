"""Computes a checksum of arrays with their metadata. Ranks compare their checksums after they have read a
file that may change.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np


def fingerprint(arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> int:
    """Return a checksum (CRC-32) of names, values and metadata. The order of the names does not matter."""
    sum_so_far = zlib.crc32(json.dumps(meta, sort_keys=True).encode())
    for name in sorted(arrays):
        sum_so_far = zlib.crc32(name.encode(), sum_so_far)
        sum_so_far = zlib.crc32(np.ascontiguousarray(arrays[name]).tobytes(), sum_so_far)
    return sum_so_far
