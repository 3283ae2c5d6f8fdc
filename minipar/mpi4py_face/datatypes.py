"""MPI's datatypes. A datatype consists of NumPy's type of the elements and their offsets in memory.

A predefined type is one element. A derived type consists of several such elements: it has the list of their
byte offsets, and an extent. The extent is the distance in bytes from one item of the type to the next.
Example: the first of 3 columns of a 2 x 3 matrix of doubles is DOUBLE.Create_vector(2, 1, 3). It has the
offsets 0 and 24, the size 16 and the extent 32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minipar.comm.message_types import RECORDS, TYPES, type_code_of
from minipar.mpi4py_face.constants import ORDER_F
from minipar.mpi4py_face.exceptions import wrong
from minipar.mpi4py_face.handles import NoHandle

PREDEFINED: dict[str, Datatype] = {}                                # the type for a name such as MPI_INT
BY_DTYPE: dict[np.dtype, Datatype] = {}                             # the type for a NumPy dtype
TYPECODES: dict[str, Datatype] = {}  # the type for a short name such as "d" or "i8"


class Datatype(NoHandle):
    """A predefined type, or a type made of predefined ones. Datatype() is DATATYPE_NULL."""

    def __new__(cls, datatype: Datatype | None = None) -> Datatype:
        new = super().__new__(cls)
        if datatype is None:
            new._set(None, np.zeros(0, np.int64), 0, 0, "MPI_DATATYPE_NULL")
        else:
            new._set(datatype.base, datatype.offsets, datatype.lb, datatype.extent, datatype.name)
        return new

    def _set(self, base: np.dtype | None, offsets: np.ndarray, lb: int, extent: int, name: str = "") -> None:
        self.base, self.offsets, self.lb, self.extent, self.name = base, offsets, lb, extent, name
        self.size = 0 if base is None else base.itemsize * offsets.size
        self.type_code = RECORDS if base is None else type_code_of(base)
        dense = np.arange(offsets.size) * (base.itemsize if base is not None else 1)
        # True if items are contiguous in memory
        self.contiguous = extent == self.size and lb == 0 and bool((offsets == dense).all())

    def derived(self, offsets: np.ndarray, lb: int | None = None, extent: int | None = None) -> Datatype:
        """Returns a new type. One item of the new type consists of items of this type at these byte offsets.
        """
        if self.base is None:
            raise wrong("ERR_TYPE", "the datatype is DATATYPE_NULL")
        new = object.__new__(type(self))
        starts = np.asarray(offsets, np.int64).reshape(-1)
        elements = (starts[:, None] + self.offsets).reshape(-1)
        low = int(starts.min()) + self.lb if starts.size else 0
        high = int(starts.max()) + self.lb + self.extent if starts.size else 0
        lb = low if lb is None else lb
        new._set(self.base, elements, lb, high - lb if extent is None else extent)
        return new

    @property
    def element(self) -> Datatype:
        """Returns the type of one element. `pack` makes contiguous bytes, which are sent as elements of this
        type.
        """
        return self if self.contiguous and self.offsets.size == 1 else self.derived_element()

    def derived_element(self) -> Datatype:
        new = object.__new__(type(self))
        size = 0 if self.base is None else self.base.itemsize
        new._set(self.base, np.zeros(1, np.int64), 0, size)
        return new

    def Create_contiguous(self, count: int) -> Datatype:
        return self.derived(np.arange(count) * self.extent)

    def Create_vector(self, count: int, blocklength: int, stride: int) -> Datatype:
        return self.Create_hvector(count, blocklength, stride * self.extent)

    def Create_hvector(self, count: int, blocklength: int, stride: int) -> Datatype:
        return self.derived(np.arange(count)[:, None] * stride + np.arange(blocklength) * self.extent)

    def Create_indexed(self, blocklengths: Sequence[int], displacements: Sequence[int]) -> Datatype:
        return self.Create_hindexed(blocklengths, [start * self.extent for start in displacements])

    def Create_hindexed(self, blocklengths: Sequence[int], displacements: Sequence[int]) -> Datatype:
        blocks = [start + np.arange(length) * self.extent
                  for length, start in zip(blocklengths, displacements, strict=True)]
        return self.derived(np.concatenate(blocks) if blocks else np.zeros(0, np.int64))

    def Create_indexed_block(self, blocklength: int, displacements: Sequence[int]) -> Datatype:
        return self.Create_indexed([blocklength] * len(displacements), displacements)

    def Create_hindexed_block(self, blocklength: int, displacements: Sequence[int]) -> Datatype:
        return self.Create_hindexed([blocklength] * len(displacements), displacements)

    def Create_subarray(self, sizes: Sequence[int], subsizes: Sequence[int], starts: Sequence[int],
                        order: int = 56) -> Datatype:
        numbers = np.arange(int(np.prod(sizes))).reshape(sizes, order="F" if order == ORDER_F else "C")
        inner = numbers[tuple(slice(start, start + size)
                              for start, size in zip(starts, subsizes, strict=True))]
        chosen = np.sort(inner.reshape(-1))                         # sorted in memory order
        return self.derived(chosen * self.extent, 0, int(np.prod(sizes)) * self.extent)

    @classmethod
    def Create_struct(cls, blocklengths: Sequence[int], displacements: Sequence[int],
                      datatypes: Sequence[Datatype]) -> Datatype:
        """Returns the type of a structure. If all fields have the same type, the elements of the structure
        have this type. Otherwise its elements are bytes.
        """
        parts = [datatype.derived(start + np.arange(length) * datatype.extent) for length, start, datatype
                 in zip(blocklengths, displacements, datatypes, strict=True)]
        if len({part.base for part in parts}) != 1:
            parts = [BYTES.derived((part.offsets[:, None] + np.arange(part.base.itemsize)).reshape(-1))
                     for part in parts if part.base is not None]
        new = object.__new__(cls)
        offsets = np.concatenate([part.offsets for part in parts]) if parts else np.zeros(0, np.int64)
        lb = min((part.lb for part in parts), default=0)
        new._set(parts[0].base if parts else np.dtype("u1"), offsets, lb,
                 max((part.lb + part.extent for part in parts), default=0) - lb)
        return new

    def Create_resized(self, lb: int, extent: int) -> Datatype:
        return self.derived(np.zeros(1, np.int64), lb, extent)

    def Create_dup(self) -> Datatype:
        return self.derived(np.zeros(1, np.int64), self.lb, self.extent)

    Dup, Resized = Create_dup, Create_resized

    def Commit(self) -> Datatype:
        """Returns the type. In minipar, a commit has no effect."""
        return self

    def Free(self) -> None:
        if self.is_predefined:
            raise wrong("ERR_TYPE", f"{self.Get_name()} is predefined and cannot be freed")
        self._set(None, np.zeros(0, np.int64), 0, 0, "MPI_DATATYPE_NULL")

    def free(self) -> None:
        if not self.is_predefined:
            self.Free()

    def Get_size(self) -> int:
        return self.size

    def Get_extent(self) -> tuple[int, int]:
        return self.lb, self.extent

    def Get_true_extent(self) -> tuple[int, int]:
        if self.base is None or not self.offsets.size:
            return 0, 0
        low = int(self.offsets.min())
        return low, int(self.offsets.max()) + self.base.itemsize - low

    def Pack(self, inbuf: Any, outbuf: Any, position: int, comm: Any) -> int:
        """Copy items to a buffer of packed bytes. See `packing.pack`."""
        from minipar.mpi4py_face.packing import pack  # it imports this file

        return pack(self, inbuf, outbuf, position, comm)

    def Unpack(self, inbuf: Any, position: int, outbuf: Any, comm: Any) -> int:
        from minipar.mpi4py_face.packing import unpack

        return unpack(self, inbuf, position, outbuf, comm)

    def Pack_size(self, count: int, comm: Any) -> int:
        return count * self.size

    def Get_name(self) -> str:
        return self.name

    def Set_name(self, name: str) -> None:
        self.name = name

    def tocode(self) -> str:
        """Returns the typecode of a predefined type, such as "d". `numpy.dtype` accepts this typecode."""
        if self.base is None or self.offsets.size != 1:
            raise ValueError(f"{self.name or 'a derived datatype'} has no typecode")
        return self.base.char if self.base.names is None else self.base.str

    @classmethod
    def fromcode(cls, code: str) -> Datatype:
        return from_code(code)

    @property
    def is_predefined(self) -> bool:
        return self.base is None or self.name in PREDEFINED and PREDEFINED[self.name] == self

    is_named = is_predefined

    @property
    def ub(self) -> int:
        return self.lb + self.extent

    true_lb = property(lambda self: self.Get_true_extent()[0])
    true_extent = property(lambda self: self.Get_true_extent()[1])
    true_ub = property(lambda self: sum(self.Get_true_extent()))
    typechar = property(lambda self: self.tocode())
    typestr = property(lambda self: "" if self.base is None else self.base.str)

    def __bool__(self) -> bool:
        return self.base is not None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Datatype):
            return NotImplemented
        return (self.base, self.lb, self.extent) == (other.base, other.lb, other.extent) and np.array_equal(
            self.offsets, other.offsets) and (self.name == other.name or not self.name or not other.name)

    def __hash__(self) -> int:
        return hash((self.base, self.lb, self.extent))

    def __reduce__(self) -> Any:
        if self.name in PREDEFINED:
            return predefined, (self.name,)
        raise ValueError("a derived datatype cannot be pickled; create it on each rank")

    def __repr__(self) -> str:
        return f"<mpi4py.MPI.Datatype {self.name or TYPES[self.type_code].name}>"


class NoTypeError(KeyError):
    """The error for elements for which MPI has no type. It is a KeyError, as in mpi4py."""

    def __str__(self) -> str:
        return str(self.args[0])


def predefined(name: str) -> Datatype:
    return PREDEFINED[name]


def pair(value: str, aligned: bool = True) -> np.dtype:
    """Returns the dtype of pairs (value, location), the elements of MAXLOC and MINLOC."""
    return np.dtype([("value", value), ("loc", "i4")], align=aligned)


# The MPI types that equal a NumPy dtype. An array of this dtype gets the first one.
NAMES: dict[Any, str] = {
    "u1": "UNSIGNED_CHAR UINT8_T", "i1": "SIGNED_CHAR INT8_T SINT8_T INTEGER1",
    "i2": "SHORT SIGNED_SHORT INT16_T SINT16_T INTEGER2", "u2": "UNSIGNED_SHORT UINT16_T",
    "i4": "INT SIGNED_INT INT32_T SINT32_T INTEGER INTEGER4 F_INT LOGICAL LOGICAL4 F_BOOL",
    "u4": "UNSIGNED UNSIGNED_INT UINT32_T",
    "i8": "LONG SIGNED_LONG INT64_T SINT64_T AINT OFFSET COUNT INTEGER8 LOGICAL8",
    "q": "LONG_LONG SIGNED_LONG_LONG", "Q": "UNSIGNED_LONG_LONG",
    "u8": "UNSIGNED_LONG UINT64_T", "f2": "FLOAT16_T REAL2", "f4": "FLOAT FLOAT32_T REAL REAL4 F_FLOAT",
    "f8": "DOUBLE FLOAT64_T DOUBLE_PRECISION REAL8 F_DOUBLE", "g": "LONG_DOUBLE REAL16",
    "c8": "C_FLOAT_COMPLEX C_COMPLEX CXX_FLOAT_COMPLEX COMPLEX COMPLEX8 F_COMPLEX F_FLOAT_COMPLEX",
    "c16": "C_DOUBLE_COMPLEX CXX_DOUBLE_COMPLEX DOUBLE_COMPLEX COMPLEX16 F_DOUBLE_COMPLEX",
    "G": "C_LONG_DOUBLE_COMPLEX CXX_LONG_DOUBLE_COMPLEX COMPLEX32", "?": "C_BOOL BOOL CXX_BOOL",
}
OTHERS: dict[str, Any] = {
    "BYTE": "u1", "PACKED": "u1", "CHAR": "i1", "CHARACTER": "i1", "WCHAR": "i4", "LOGICAL1": "i1",
    "LOGICAL2": "i2", "INT_INT": pair("i4"), "TWOINT": pair("i4"), "SHORT_INT": pair("i2"),
    "LONG_INT": pair("i8"), "FLOAT_INT": pair("f4"), "DOUBLE_INT": pair("f8"), "LONG_DOUBLE_INT": pair("g"),
}


def _predefine(name: str, dtype: np.dtype) -> Datatype:
    datatype = Datatype()
    datatype._set(dtype, np.zeros(1, np.int64), 0, dtype.itemsize, f"MPI_{name}")
    PREDEFINED[f"MPI_{name}"] = datatype
    return datatype


for _code, _names in NAMES.items():
    for _name in _names.split():
        _datatype = _predefine(_name, np.dtype(_code))
        BY_DTYPE.setdefault(np.dtype(_code), _datatype)
        TYPECODES.setdefault(np.dtype(_code).char, _datatype)
        TYPECODES.setdefault(np.dtype(_code).str[1:], _datatype)
for _name, _code in OTHERS.items():
    _predefine(_name, np.dtype(_code))
# dtype -> type code: the calls for messages need only this number, so it takes one look-up
CODE_BY_DTYPE = {dtype: datatype.type_code for dtype, datatype in BY_DTYPE.items()}
BYTES = PREDEFINED["MPI_BYTE"]
DATATYPE_NULL = PREDEFINED["MPI_DATATYPE_NULL"] = Datatype()


def from_code(code: str) -> Datatype:
    """Returns the type for a typecode, such as "d", "f8", "<f8", "DOUBLE" or "MPI_DOUBLE"."""
    found = TYPECODES.get(code) or PREDEFINED.get(code) or PREDEFINED.get(f"MPI_{code}")
    if found is None:
        try:
            return of_dtype(np.dtype(code))
        except TypeError:
            raise ValueError(f"cannot map the typecode {code!r} to an MPI datatype") from None
    return found


def of_dtype(dtype: np.dtype) -> Datatype:
    """Returns the type of an array's elements. Raises NoTypeError if MPI has no type for these elements."""
    found = BY_DTYPE.get(dtype)
    if found is None and dtype.kind in "SV" and dtype.itemsize == 1:
        return PREDEFINED["MPI_CHAR" if dtype.kind == "S" else "MPI_BYTE"]
    if found is None:
        raise NoTypeError(f"message: cannot use elements of dtype {dtype}; send the object with the "
                          "lower-case call (comm.send), or name a type: [array.view('u1'), MPI.BYTE]")
    return found
