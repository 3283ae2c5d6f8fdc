"""Defines the options of a quantisation: the number of bits, the range of the codes, and which values share a
scale.

An affine code q represents the value

    x_hat = s (q - z)           q: an integer from `low` to `high`, s: the scale (step), z: the zero-point,
                                which is also a code

So the code z represents 0 exactly, and pruned weights and padding stay zero. (In the course document 002,
4.1.1, the number 0 lies between two codes.) With symmetric codes, z is in the middle, with equally many codes
below and above it. (The course document 004, 4.2, uses symmetric codes without z.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from minipar.errors import ConfigError, ShapeError, shown
from minipar.records import require_types


@dataclass(frozen=True)
class Scheme:
    """The options of a quantisation.

    bits       the number of bits, 2 to 16
    symmetric  if true, the zero-point is the middle code. One code is not used (with 2 bits, one of four)
    signed     if true, codes are around 0 (int8: -128 to 127). If false, they start at 0 (uint8: 0 to 255).
               The represented values are the same in both cases
    axis       every index along this axis has its own scale ("per channel"). Examples: axis=1 for the
               outputs of a weight [I, O], axis=0 for the rows of activations [n, I]. With None, the array
               has a single scale ("per tensor")
    group      if not 0, a matrix is divided along its other axis into groups of `group` consecutive
               elements. Each group has its own scale

    Raises ConfigError for invalid values.
    """

    bits: int = 8
    symmetric: bool = True
    signed: bool = True
    axis: int | None = None
    group: int = 0

    def __post_init__(self) -> None:
        require_types(self)
        if not 2 <= self.bits <= 16:
            raise ConfigError(f"bits is {shown(self.bits)}; choose 2 to 16", item="bits")
        if self.group < 0:
            raise ConfigError(
                f"group is {shown(self.group)}; choose a number of elements, or 0 for no groups",
                item="group",
            )
        if self.group and self.axis not in (0, 1):
            raise ConfigError(f"groups of {self.group} run along a matrix; choose axis=1 (down the columns) "
                              "or axis=0")

    @property
    def low(self) -> int:
        return self.middle - (1 << self.bits - 1) + int(self.symmetric)

    @property
    def high(self) -> int:
        return self.middle + (1 << self.bits - 1) - 1

    @property
    def middle(self) -> int:
        """The zero-point of symmetric codes."""
        return 0 if self.signed else 2 ** (self.bits - 1)

    @property
    def dtype(self) -> np.dtype:
        """The smallest integer dtype of NumPy that holds the codes. Files pack each code into `bits` bits."""
        return np.dtype(f"{'int' if self.signed else 'uint'}{8 if self.bits <= 8 else 16}")

    def view(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Returns a shape (the view) in which values that share a scale fill whole axes. Groups get their own
        axis.

        Raises ShapeError if the axis does not exist or groups do not divide the matrix. Example: [6, 5] with
        axis 1 and groups of 3 gives [2, 3, 5].
        """
        if self.axis is None:
            return shape
        if not -len(shape) <= self.axis < len(shape):
            raise ShapeError(f"a scale per index of axis {self.axis} needs an array with that axis, not one "
                             f"of shape {shape}")
        if not self.group:
            return shape
        if len(shape) != 2 or shape[1 - self.axis] % self.group:
            raise ShapeError(f"groups of {self.group} along axis {1 - self.axis} do not divide shape "
                             f"{shape}; choose a divisor (under tensor parallelism: of each rank's shard)")
        rows, columns = shape
        return (rows // self.group, self.group,
                columns) if self.axis == 1 else (rows, columns // self.group, self.group)

    def scale_axes(self, view: tuple[int, ...]) -> tuple[int, ...]:
        """Returns the axes of the view along which values share a scale."""
        if self.group:
            return (1,) if self.axis == 1 else (2,)
        own = None if self.axis is None else self.axis % len(view)
        return tuple(axis for axis in range(len(view)) if axis != own)

    def scales(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Returns the shape of the array of scales, for an array of this shape. It is the shape of the view,
        but with length 1 along the axes that share a scale.
        """
        view = self.view(shape)
        together = self.scale_axes(view)
        return tuple(1 if axis in together else length for axis, length in enumerate(view))

    def packed_bytes(self, shape: tuple[int, ...], scale_bytes: int = 4) -> int:
        """Returns the bytes of the packed codes and scales, and of the zero-points if the scheme is not
        symmetric.
        """
        codes, scales = math.prod(shape), math.prod(self.scales(shape))
        zeros = 0 if self.symmetric else -(-scales * self.bits // 8)
        return -(-codes * self.bits // 8) + scales * scale_bytes + zeros
