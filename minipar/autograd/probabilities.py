"""Checks that the softmax of every row exists. It exists if the largest value of the row is finite.

If a row contains +inf (broken weights) or only -inf (a mask that covers all keys), its softmax is NaN.
`require_probabilities` raises an error with the index of such a row. Inside `np.errstate(invalid="ignore")`
no error is raised, and the caller must detect the NaN. The trainer uses this mode, because all its ranks must
agree on a NaN before any rank raises an error. Then the trainer names the module in which the NaN arose. A
row that contains NaN stays NaN.
"""

from __future__ import annotations

import numpy as np

from minipar.errors import RangeError


def require_probabilities(largest: np.ndarray, what: str) -> None:
    """Raises RangeError if a value in `largest` is infinite. largest: the largest value of each row."""
    bad = np.isinf(largest)
    if bad.any() and np.geterr()["invalid"] != "ignore":
        index = tuple(map(int, np.argwhere(bad)[0]))
        raise RangeError(f"{what} at {index} is {largest[index]}, so the softmax is NaN; look for a "
                         "mask that covers all keys, or for infinite weights", item=what, index=index)
