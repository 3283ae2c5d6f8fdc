"""Checks that every row has a softmax, that is, that its largest value is finite.

The softmax of a row that contains +inf (broken weights), or only -inf (a mask that covers everything), is
NaN. So such a row raises an error that names it. Inside `np.errstate(invalid="ignore")` there is no error:
the program looks for NaN itself. The trainer does this, because all its ranks must agree first, and because
it names the module where the NaN arose. A row that contains NaN stays NaN.
"""

from __future__ import annotations

import numpy as np

from minipar.errors import RangeError


def require_probabilities(largest: np.ndarray, what: str) -> None:
    """Raises RangeError if one of the values in `largest`, the largest of each row, is infinite."""
    bad = np.isinf(largest)
    if bad.any() and np.geterr()["invalid"] != "ignore":
        index = tuple(map(int, np.argwhere(bad)[0]))
        raise RangeError(f"{what} at {index} is {largest[index]}, which gives no probabilities; look for a "
                         "mask that covers everything, or broken weights")
