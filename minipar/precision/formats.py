"""Rounds to 16 bits. The result is a float32 array whose values are numbers of a shorter format.

NumPy multiplies float16 matrices without BLAS. This is hundreds of times slower than float32. NumPy has no
bfloat16. So a 16-bit number is stored here as the equal float32 number. Every 16-bit number is also a float32
number, and the product of two of them is exact in float32. So a float32 product of rounded matrices has
16-bit operands and 32-bit sums, like the matrix units of accelerators. The emulation does not save memory or
time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minipar.errors import ConfigError, ShapeError


@dataclass(frozen=True)
class Format:
    """Describes a floating-point format of `bytes` bytes.

    digits: the number of mantissa bits after the leading one, so the next number after 1 is 1 + 2**-digits.
    smallest_normal, largest: the range of numbers with all digits. smallest: the smallest positive number.
    Half of that number rounds to zero.
    """

    name: str
    digits: int
    smallest_normal: float
    largest: float
    bytes: int = 2

    @property
    def smallest(self) -> float:
        return self.smallest_normal * 2.0**-self.digits

    def round(self, x: np.ndarray) -> np.ndarray:
        """Rounds x (float32, any shape) to the nearest numbers of the format, ties to even. Returns a new
        float32 array.

        Numbers beyond the largest number become infinite, NaN stays NaN, and zero keeps its sign. Raises
        ShapeError for any other dtype. For example, float64 would be rounded twice.
        """
        if x.dtype != np.float32:
            raise ShapeError(f"{self.name}: arrays of float32 are rounded, this one is {x.dtype}; convert it "
                             "first", item=self.name)
        with np.errstate(all="ignore"):  # infinity is a valid result; RoundingTally counts it
            return _ROUND[self.name](np.atleast_1d(x)).reshape(x.shape)


FLOAT32 = Format("float32", 23, 2.0**-126, float(np.finfo(np.float32).max), bytes=4)
FLOAT16 = Format("float16", 10, 2.0**-14, 65504.0)                  # IEEE 754: many digits, narrow range
# the upper half of a float32: few digits, the range of float32
BFLOAT16 = Format("bfloat16", 7, 2.0**-126, (2 - 2.0**-7) * 2.0**127)
FORMATS = {format.name: format for format in (FLOAT32, FLOAT16, BFLOAT16)}


def format_of(name: str) -> Format:
    """Returns the format with this name. Raises ConfigError for a name that is not in FORMATS."""
    if name not in FORMATS:
        raise ConfigError(f"precision is {name!r}; choose {', '.join(FORMATS)}", item="precision")
    return FORMATS[name]


def _round_to_bfloat16(x: np.ndarray) -> np.ndarray:
    """Adds 0x7fff or 0x8000, and then clears the lower 16 bits. A carry of the addition rounds the upper half
    up.

    >>> _round_to_bfloat16(np.array([1 + 2**-8, 1 + 2**-7, 3.0], np.float32))      # a tie goes to even
    array([1.       , 1.0078125, 3.       ], dtype=float32)
    """
    bits = x.view(np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)  # a tie rounds an odd number up, and an even number down
    bits = bits + (odd + np.uint32(0x7FFF))
    bits &= np.uint32(0xFFFF0000)
    rounded: np.ndarray = bits.view(np.float32)
    np.copyto(rounded, x, where=np.isnan(x))  # a carry would turn this NaN into a number
    return rounded


def _round_to_float16(x: np.ndarray) -> np.ndarray:
    """Adds and subtracts 1.5 * 2**(e + 13), where e is the exponent of x. The sum cannot hold the lower 13 of
    the 23 mantissa bits of x. So the processor rounds these bits (to nearest, ties to even).

    Below 2**-14 the spacing of float16 numbers is constant, so e is at least -14.
    """
    exponents = x.view(np.uint32) & np.uint32(0x7F800000)
    # for larger exponents, the result is infinite
    exponents = np.clip(exponents, np.uint32((127 - 14) << 23), np.uint32((127 + 16) << 23))
    exponents += np.uint32(13 << 23)
    room = exponents.view(np.float32)
    room *= np.float32(1.5)
    rounded: np.ndarray = x + room
    rounded -= room
    rounded *= np.float32(2.0**112)  # numbers beyond 2**16 overflow here: float32 ends at 2**128
    rounded *= np.float32(2.0**-112)
    np.copysign(rounded, x, out=rounded)                            # -1e-9 becomes -0, as in IEEE 754
    return rounded


_ROUND: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "float32": np.copy, "float16": _round_to_float16, "bfloat16": _round_to_bfloat16,
}
