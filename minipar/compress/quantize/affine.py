"""Converts floats to integers (codes) and back by linear quantisation, affine or symmetric (Jacob et al.
2018, arXiv:1712.05877).

    q = clip(round(x / s) + z, low, high)           x_hat = s (q - z)

s is the scale, z the zero-point, and low to high the range of the codes (see scheme.py). The course documents
002 (4.1.1), 004 (4.2) and 000 (4.2) give only a part of these formulas: each one leaves out x_hat, the clip,
or z.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minipar.compress.quantize.grid import Limits, QuantizationGrid, decode, encode, floats, grid_over
from minipar.compress.quantize.limits import minmax
from minipar.compress.quantize.scheme import Scheme
from minipar.errors import RangeError, ShapeError


@dataclass(frozen=True)
class Quantized:
    """A quantised array. codes: an array of the same shape, with dtype `scheme.dtype`. grid: maps the codes
    to floats.
    """

    codes: np.ndarray
    grid: QuantizationGrid
    scheme: Scheme

    @property
    def shape(self) -> tuple[int, ...]:
        return self.codes.shape

    @property
    def nbytes(self) -> int:
        """The number of bytes of the packed array in a file (see Scheme.packed_bytes)."""
        return self.scheme.packed_bytes(self.shape, self.grid.scale.itemsize)

    def dequantize(self) -> np.ndarray:
        """Returns the values x_hat of the codes, with the shape and dtype of the original array (float32 if
        that was float16).
        """
        return decode(self.codes.reshape(self.scheme.view(self.shape)), self.grid).reshape(self.shape)

    def centred_codes(self) -> np.ndarray:
        """Returns q - z as integers. Integer products use these numbers."""
        if self.scheme.symmetric and self.scheme.signed:
            return self.codes
        view = self.codes.reshape(self.scheme.view(self.shape))
        distances: np.ndarray = np.subtract(view, self.grid.zero.astype(np.int32), dtype=np.int32)
        return distances.reshape(self.shape)


def quantize(x: np.ndarray, scheme: Scheme, limits: Limits | None = None, *,
             name: str = "the array") -> Quantized:
    """Quantise x: floats of any shape, which may be empty. limits: the range that the codes cover. The
    default is the range of x (`minmax`).

    The error of a number inside the range is at most s/2. The computation uses the dtype of x, or float32 if
    x is float16. Raises RangeError for NaN and infinity. Raises ShapeError if x has no float dtype, or if the
    limits do not have the shape of the scales. name: the name of x in messages.

    >>> from minipar.compress.quantize.scheme import Scheme
    >>> q = quantize(np.array([-1.0, 0.0, 0.26, 1.0], np.float32), Scheme(4))
    >>> q.dequantize().round(2)
    array([-1.  ,  0.  ,  0.29,  1.  ], dtype=float32)
    """
    x = floats(x, name)
    grid = grid_for(x, scheme, limits, name)
    return Quantized(encode(x.reshape(scheme.view(x.shape)), grid, scheme).reshape(x.shape), grid, scheme)


def grid_for(x: np.ndarray, scheme: Scheme, limits: Limits | None, name: str) -> QuantizationGrid:
    """Returns the grid (scales and zero-points) to which x is rounded, in the dtype of x. The arguments are
    the same as for `quantize`.
    """
    if limits is None:
        limits = minmax(x, scheme, name=name)
    else:
        require_finite(x, name)
    low, high = (end.astype(x.dtype, copy=False) for end in limits)
    if not low.shape == high.shape == scheme.scales(x.shape):
        raise ShapeError(f"{name} needs limits of shape {scheme.scales(x.shape)}, one pair per scale; got "
                         f"{low.shape} and "
                         f"{high.shape}", item=name)
    return grid_over(Limits(low, high), scheme, name)


def require_finite(x: np.ndarray, name: str) -> None:
    """Raises RangeError if x holds NaN or infinity. The check reads x twice, and makes no temporary array."""
    worst = max(-x.min(initial=0), x.max(initial=0))
    if not np.isfinite(worst):
        raise RangeError(f"{name} holds {worst:g}; only finite numbers can be quantised", item=name)
