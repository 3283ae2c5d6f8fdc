"""What has no softmax: a row whose largest value is infinite.

A row of nothing but -inf (a mask that covers everything) or with +inf (broken weights) would become NaN
without a word. It is an error that names the row, unless the program says with
`np.errstate(invalid="ignore")` that it looks for NaN itself. The trainer does: all its ranks must agree
first, and it names the module where the NaN arose. A row with NaN stays NaN.
"""

from __future__ import annotations

import numpy as np

from minipar.errors import RangeError


def require_probabilities(largest: np.ndarray, what: str) -> None:
    """largest: the largest value of each row. Raises RangeError where one is infinite."""
    bad = np.isinf(largest)
    if bad.any() and np.geterr()["invalid"] != "ignore":
        index = tuple(map(int, np.argwhere(bad)[0]))
        raise RangeError(f"{what} at {index} is {largest[index]}, which gives no probabilities; look for a "
                         "mask that covers everything, or broken weights")
