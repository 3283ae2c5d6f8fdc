"""MPI.buffer, an array of raw bytes. Shared windows return it, and the functions of Op.Create get it."""

from __future__ import annotations

from typing import Any

import numpy as np


class RawMemory(np.ndarray):
    """An array of n bytes, uint8 [n]. A program can assign the bytes of any buffer to a slice of it."""

    @classmethod
    def over(cls, array: np.ndarray) -> Any:
        """Returns the memory of a contiguous array."""
        return array.reshape(-1).view(np.uint8).view(cls)

    @classmethod
    def allocate(cls, nbytes: int, clear: bool = False) -> Any:
        return cls.over(np.zeros(nbytes, np.uint8))

    @classmethod
    def frombuffer(cls, buf: Any, readonly: bool = False) -> Any:
        found = cls.over(np.frombuffer(buf, np.uint8))
        found.flags.writeable = found.flags.writeable and not readonly
        return found

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        return int(found) if np.ndim(found) == 0 else found

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(key, slice) and not isinstance(value, (int, np.integer)):
            value = np.frombuffer(value, np.uint8)
        super().__setitem__(key, value)

    @property
    def address(self) -> int:
        return self.ctypes.data

    readonly = property(lambda self: not self.flags.writeable)
    format = property(lambda self: "B")


RawMemory.__name__ = RawMemory.__qualname__ = "buffer"
