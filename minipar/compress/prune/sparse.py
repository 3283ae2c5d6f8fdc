"""Defines two formats that store only non-zero values, and their sizes in bytes. In a dense array, zeros need
as much memory as other values.

    CSR      (compressed sparse rows) stores the values, the column index of each value (int32), and the start
             of each row (int32). A non-zero float32 takes 8 bytes. CSR is smaller than a dense array if more
             than 50 % of the elements are zero.
    bitmap   stores the values, and one bit per element. n elements of float32 take n / 8 bytes, and 4 bytes
             for each non-zero value. A bitmap is smaller than a dense array if more than 3.1 % of the
             elements are zero.

Values are restored bit for bit, including -0.0 and NaN. With tensor parallelism, each rank stores its own
shard.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from minipar.errors import ConfigError, ShapeError, shown
from minipar.records import is_whole

INDEX = np.dtype(np.int32)
MOST_AXES = 32  # largest number of axes of an array in NumPy 1
PARTS = ("values", "bits", "shape")                                 # the parts of a packed array


def csr_bytes(shape: tuple[int, int], stays: int, itemsize: int = 4) -> int:
    """Returns the bytes of a CSR matrix with this shape and `stays` non-zero values.

    Each value has a column index. There are shape[0] + 1 row starts.
    """
    return stays * (itemsize + INDEX.itemsize) + (shape[0] + 1) * INDEX.itemsize


def bitmap_bytes(size: int, stays: int, itemsize: int = 4) -> int:
    """Returns the bytes of a bitmap with `size` elements and `stays` non-zero values: one bit per element,
    and the values.

    >>> bitmap_bytes(1000, 100), 4 * 1000
    (525, 4000)
    """
    return -(-size // 8) + stays * itemsize


def _there(array: np.ndarray) -> np.ndarray:
    """Returns a bool array of the same shape. It is True if at least one bit of the element is 1."""
    bits: np.ndarray = np.ascontiguousarray(array).view(f"u{array.itemsize}").reshape(array.shape)
    there: np.ndarray = bits != 0
    return there


@dataclass(frozen=True)
class CSR:
    """A matrix [rows, width] as compressed sparse rows.

    values: the non-zero values [stays]. columns: their column indices, int32 [stays]. starts: int32 [rows +
    1]; row r has the values starts[r] to starts[r + 1] - 1.
    """

    values: np.ndarray
    columns: np.ndarray
    starts: np.ndarray
    width: int

    @classmethod
    def of(cls, matrix: np.ndarray) -> CSR:
        """Returns the CSR form of a matrix. Raises ShapeError for an array that is not a matrix or has more
        than 2^31 - 1 elements.
        """
        if matrix.ndim != 2 or matrix.size > np.iinfo(INDEX).max:
            raise ShapeError(f"CSR stores a matrix of up to 2^31 - 1 values; got shape {matrix.shape}")
        there = _there(matrix)
        _, columns = np.nonzero(there)
        starts = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
        return cls(matrix[there], columns.astype(INDEX), starts.astype(INDEX), matrix.shape[1])

    @property
    def nbytes(self) -> int:
        return self.values.nbytes + self.columns.nbytes + self.starts.nbytes

    def dense(self) -> np.ndarray:
        """Returns the matrix [rows, width]. Raises ShapeError if the parts do not describe a matrix, see
        `require_csr`.
        """
        require_csr(self)
        matrix = np.zeros((len(self.starts) - 1, self.width), self.values.dtype)
        matrix[np.repeat(np.arange(len(matrix)), np.diff(self.starts)), self.columns] = self.values
        return matrix


def require_csr(stored: CSR) -> None:
    """Raises ShapeError if the parts are not a valid result of `CSR.of`.

    Every value has one column index. The column indices increase within each row.
    """
    values, columns, starts, width = stored.values, stored.columns, stored.starts, stored.width
    rows = starts.size - 1
    if not is_whole(width) or rows < 0 or not 0 <= rows * width <= np.iinfo(INDEX).max:
        raise ShapeError(f"CSR: {rows} rows of width {shown(width)} are no matrix of up to 2^31 - 1 values")
    require_dense((rows, width), values)
    if columns.dtype != INDEX or starts.dtype != INDEX or values.shape != columns.shape or starts.ndim != 1:
        raise ShapeError(f"CSR: {values.shape} values, {columns.shape} columns ({columns.dtype}) and "
                         f"{starts.shape} starts ({starts.dtype}); values and columns must have the same "
                         f"shape, and columns and starts must be {INDEX}")
    if starts[0] != 0 or starts[-1] != values.size or (np.diff(starts) < 0).any():
        raise ShapeError("CSR: the row starts must begin with 0, never decrease, and end with "
                         f"{values.size}, the number of values")
    if columns.size and not 0 <= columns.min() <= columns.max() < width:
        raise ShapeError(f"CSR: a column is outside of 0 to {width - 1}")
    row_of = np.repeat(np.arange(rows), np.diff(starts))
    if (np.diff(row_of * width + columns) <= 0).any():
        raise ShapeError("CSR: a row names a column twice, or its columns do not rise")


def require_dense(shape: tuple[int, ...], values: np.ndarray) -> None:
    """Raises ShapeError if `values` is not a one-dimensional array of numbers, or if NumPy cannot make an
    array of this shape with the dtype of `values`.
    """
    if values.ndim != 1 or values.dtype.kind not in "biufc":
        raise ShapeError(f"values are {values.dtype} of shape {values.shape}; they must be a "
                         "one-dimensional array of numbers")
    # NumPy's limit is 2^63 - 1 bytes; NumPy's check ignores axes of length 0
    nbytes = math.prod(max(length, 1) for length in shape) * values.itemsize
    if len(shape) > MOST_AXES or nbytes > np.iinfo(np.int64).max:
        raise ShapeError(f"there is no array of shape {shown(shape)}: it has too many axes or elements")


@dataclass(frozen=True)
class Bitmap:
    """An array of any shape, stored as one bit per element and the non-zero values [stays], in C order."""

    values: np.ndarray
    bits: np.ndarray
    shape: tuple[int, ...]

    @classmethod
    def of(cls, array: np.ndarray) -> Bitmap:
        there = _there(array)
        return cls(array[there], np.packbits(there), array.shape)

    @property
    def nbytes(self) -> int:
        return self.values.nbytes + self.bits.nbytes

    def dense(self) -> np.ndarray:
        """Returns the array. Raises ShapeError if shape, bits and values do not fit together."""
        require_dense(self.shape, self.values)
        size = math.prod(self.shape)
        if self.bits.dtype != np.uint8 or self.bits.shape != (-(-size // 8),
                                                              ) or min(self.shape, default=0) < 0:
            raise ShapeError(f"a bitmap of shape {shown(self.shape)} needs {-(-size // 8)} bytes, not "
                             f"{shown(self.bits.shape)}")
        if np.unpackbits(self.bits)[size:].any():
            raise ShapeError(f"a bitmap of {size} elements has bits set after the last one")
        if self.values.shape != (stays := int(np.unpackbits(self.bits, count=size).sum()),):
            raise ShapeError(f"a bitmap with {stays} bits set needs values of shape ({stays},), "
                             f"not {self.values.shape}")
        array = np.zeros(self.shape, self.values.dtype)
        array[np.unpackbits(self.bits, count=array.size).reshape(self.shape).view(bool)] = self.values
        return array


def pack(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Packs arrays, so that files from minipar.checkpoint or np.savez do not store zeros. arrays: name ->
    array.

    If the bitmap of an array is smaller than the array, the array becomes "name.bits", "name.values" and
    "name.shape". Otherwise the array is not changed. Raises ConfigError for a name that already has such an
    ending.
    """
    if taken := [name for name in arrays if name.rpartition(".")[2] in PARTS]:
        raise ConfigError(f"pack: {taken[0]} ends like the name of a packed part; choose another name",
                          item=taken[0])
    packed: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        stored = Bitmap.of(array)
        shape = np.array(array.shape, np.int64)
        if stored.nbytes + shape.nbytes < array.nbytes:
            packed |= {f"{name}.values": stored.values, f"{name}.bits": stored.bits, f"{name}.shape": shape}
        else:
            packed[name] = array
    return packed


def unpack(packed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Restores the arrays of `pack` in the same order. Raises ShapeError if a part of an array is missing, or
    if `packed` has an array both whole and in parts.
    """
    arrays = {}
    for key, array in packed.items():
        name, _, part = key.rpartition(".")
        if part not in PARTS:
            arrays[key] = array
            continue
        if lacking := [f"{name}.{other}" for other in PARTS if f"{name}.{other}" not in packed]:
            raise ShapeError(f"unpack: {key} exists, but {' and '.join(lacking)} does not; pass all arrays "
                             "that pack returned", item=key)
        if name in packed:
            raise ShapeError(f"unpack: {name} exists both whole and in parts; pass the arrays that pack "
                             "returned", item=name)
        if part == "values":
            shape = packed[f"{name}.shape"]
            if shape.ndim != 1 or shape.dtype.kind not in "iu":
                raise ShapeError(f"unpack: {name}.shape is {shape.dtype} of shape {shape.shape}, not a "
                                 "one-dimensional array of integers", item=name)
            arrays[name] = Bitmap(array, packed[f"{name}.bits"], tuple(shape.tolist())).dense()
    return arrays
