"""Reads arrays of a .safetensors file from an unknown source. It checks the list of arrays first.

The format: 8 bytes with the length of the list (little-endian), the list in JSON, and then the numbers of all
arrays, without gaps. The list gives the dtype, the shape and the position of each array (in bytes after the
list):

    {"wte.weight": {"dtype": "F32", "shape": [65, 8], "data_offsets": [0, 2080]}, ...}

Source of the format: https://github.com/huggingface/safetensors
"""

from __future__ import annotations

import os
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from minipar.errors import MiniparError, shown
from minipar.untrusted.arrays import Declared, is_possible
from minipar.untrusted.files import MIB
from minipar.untrusted.plain import parse_json

LARGEST_LIST = 16 * MIB                                             # bytes
# the format's names of dtypes -> NumPy's names
NUMBERS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
           "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?"}


class _Entry(NamedTuple):
    """An entry of the list. begin: the position of the first number, in bytes after the list."""

    declared: Declared
    begin: int


class SafetensorsFile:
    """An open .safetensors file. declared: name -> shape and dtype of each array.

    Raises `error` if the list of arrays is damaged, or if it does not fit the size of the file.
    """

    def __init__(self, file: BinaryIO, where: object, error: type[MiniparError]) -> None:
        self._file, self._where, self._error = file, where, error
        size = os.fstat(file.fileno()).st_size
        if size < 8:  # a system file of size 0 may have nothing to read
            raise error(f"{where} is damaged, or not a .safetensors file: it has {size} bytes; get it again")
        length = int.from_bytes(file.read(8), "little")
        if length > min(size - 8, LARGEST_LIST):
            raise error(f"{where} is damaged, or not a .safetensors file: it begins with a list of "
                        f"{length:,} bytes; get it again")
        listed = parse_json(file.read(length), f"{where}: its list of arrays", error)
        self._begin = 8 + length
        self._entries = self._checked(listed, size - self._begin)
        self.declared = {name: entry.declared for name, entry in self._entries.items()}

    def read(self, name: str) -> np.ndarray:
        """Returns an array. Raises `error` if the file has become shorter."""
        (shape, dtype), begin = self._entries[name]
        self._file.seek(self._begin + begin)
        data = bytearray(self.declared[name].nbytes)
        if self._file.readinto(data) != len(data):                  # type: ignore[attr-defined]
            raise self._damaged("it has become shorter")
        return np.frombuffer(data, dtype).reshape(shape)

    def _checked(self, listed: Any, most: int) -> dict[str, _Entry]:
        """Returns the entries of the list. Raises `error` unless the arrays fill `most` bytes, without gaps
        and without overlaps.
        """
        if not isinstance(listed, dict):
            raise self._damaged("its list of arrays is wrong")
        listed = {name: entry for name, entry in listed.items() if name != "__metadata__"}
        entries = {name: self._entry(name, entry) for name, entry in listed.items()}
        end = 0
        for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].declared.nbytes)):
            if entry.begin != end:
                raise self._damaged(f"{shown(name)} begins at byte {entry.begin:,}, not at {end:,}")
            end += entry.declared.nbytes
        if end != most:
            raise self._damaged(f"its arrays have {end:,} bytes, but {most:,} follow the list")
        return entries

    def _entry(self, name: str, entry: Any) -> _Entry:
        try:
            kind, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
            if not isinstance(kind, str) or not isinstance(shape, list):
                raise TypeError("dtype or shape")
        except (KeyError, TypeError, ValueError) as cause:
            raise self._damaged(f"the entry of {shown(name)} in its list of arrays is wrong") from cause
        if kind not in NUMBERS:
            raise self._error(f"{self._where} holds {shown(kind)} numbers, which NumPy lacks; save them as "
                              "float32", item=name)
        dtype = np.dtype(NUMBERS[kind])
        if not (all(type(number) is int for number in [*shape, begin, end]) and is_possible(shape, dtype)):
            raise self._damaged(f"its list of arrays is wrong: {shown(name)} has shape {shown(shape)}")
        declared = Declared(tuple(shape), dtype)
        if not 0 <= begin <= end or end - begin != declared.nbytes:
            raise self._damaged(f"its list of arrays is wrong: {shown(name)} has the offsets "
                                f"{shown([begin, end])}, but {declared.nbytes:,} bytes")
        return _Entry(declared, begin)

    def _damaged(self, text: str) -> MiniparError:
        return self._error(f"{self._where} is damaged, or not a .safetensors file: {text}; get it again")
