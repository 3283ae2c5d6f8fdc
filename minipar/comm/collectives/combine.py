"""How two arrays are put together, and how a mean stays within range on its way.

A sum of finite numbers may become infinite, and the rank that adds sees it: the processor's overflow flag is
raised for finite operands alone (IEEE 754: infinity plus anything is exact). So in checked mode the flag is
read after each addition, and the collective is reported with its label. This costs 2 microseconds per
addition and no pass over the data.

A mean is a sum of p arrays, divided by p at the end. The sum may overflow where the mean does not: 40000 and
40000 in float16. So float16 is added up in float32, where no sum of it overflows or vanishes; the wider types
are first multiplied by 2**-k with 2**k >= p, which is exact (but for subnormal numbers, below 1e-37 in
float32 and 1e-307 in float64), and p is divided by 2**k too.
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
    """The ufunc itself, unless it can overflow and the communicator is checked."""
    return Combine(ufunc, comm, op,
                   label) if comm.checked and ufunc is np.add and dtype.kind == "f" else ufunc


def addends(array: np.ndarray, ranks: int) -> tuple[np.ndarray, float]:
    """What to add up for the mean over so many ranks, and what to divide the sum by. array: floats; it stays
    as it is.
    """
    if ranks == 1:
        return array, 1.0
    if array.itemsize == 2:
        return array.astype(np.float32), float(ranks)
    scale = 2.0 ** -(ranks - 1).bit_length()
    return np.multiply(array, array.dtype.type(scale), out=np.empty_like(array)), ranks * scale
