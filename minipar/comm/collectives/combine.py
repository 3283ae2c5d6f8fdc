"""Combines two arrays. A sum reports an overflow; a mean avoids overflow.

A sum of finite numbers may become infinite (an overflow). Then the processor sets its overflow flag, as IEEE
754 demands. Infinite operands do not set this flag. In checked mode, NumPy reads the flag after each addition
of arrays, and an overflow is reported with the collective's label. This costs 2 microseconds per addition.
The data are not read again.

A mean is a sum of p arrays, divided by p at the end. The sum may overflow although the mean does not. An
example is the sum of 40000 and 40000 in float16, whose largest number is 65504. So float16 arrays are summed
in float32. Arrays of wider types are first multiplied by 2**-k, with 2**k >= p. Then their sum is divided by
p / 2**k. This is exact, except for subnormal numbers (below 1e-37 in float32 and 1e-307 in float64). Example:
for p = 3, k is 2, and the sum of x/4 is divided by 3/4.
"""

from __future__ import annotations

import numpy as np

from minipar.comm.protocol import Communicator


class Combine:
    """A sum of floats that reports its first overflow. Call it like a ufunc: combine(a, b, out=c).
    """

    def __init__(self, ufunc: np.ufunc, comm: Communicator, op: str, label: str) -> None:
        self.ufunc, self.comm, self.op, self.label, self.told = ufunc, comm, op, label, False

    def __call__(self, one: np.ndarray, other: np.ndarray, *, out: np.ndarray) -> np.ndarray:
        with np.errstate(over="call", call=self.report):
            self.ufunc(one, other, out=out)
        return out

    def report(self, kind: str = "overflow", flag: int = 0) -> None:
        """Report the overflow once. NumPy passes these arguments to a handler of floating-point errors."""
        if not self.told:
            self.told = True
            self.comm.overflowed(self.op, self.label)


def addends(array: np.ndarray, ranks: int) -> tuple[np.ndarray, float]:
    """Returns the array to sum over `ranks` ranks, and the divisor that turns the sum into the mean. array:
    floats; it is not changed.
    """
    if ranks == 1:
        return array, 1.0
    if array.itemsize == 2:
        return array.astype(np.float32), float(ranks)
    scale = 2.0 ** -(ranks - 1).bit_length()
    return np.multiply(array, array.dtype.type(scale), out=np.empty_like(array)), ranks * scale
