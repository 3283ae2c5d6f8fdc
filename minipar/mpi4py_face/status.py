"""MPI.Status: the source, the tag and the size of a message."""

from __future__ import annotations

from typing import Any

import numpy as np

from minipar.comm.protocol import MessageEnvelope
from minipar.mpi4py_face.constants import ANY_SOURCE, ANY_TAG, PROC_NULL, UNDEFINED
from minipar.mpi4py_face.datatypes import BYTES, Datatype, from_code

# indices of the int32 numbers of a status
SOURCE, TAG, ERROR, CANCELLED, LOW, HIGH = range(6)


class Status:
    """The status of a message. A receive, a probe or a wait fills it. As in MPI's structure, one array holds
    its numbers.
    """

    def __init__(self, status: Status | None = None) -> None:
        if status is not None and not isinstance(status, Status):
            raise TypeError(f"Status takes another Status, not {type(status).__name__}")
        self._numbers: np.ndarray = np.zeros(6, np.int32) if status is None else status._numbers.copy()
        if status is None:
            self.reset()

    def reset(self) -> None:
        """Set the status to the values that a wait for a null request gives."""
        self._numbers[:] = ANY_SOURCE, ANY_TAG, 0, 0, 0, 0

    def fill(self, envelope: MessageEnvelope | None) -> None:
        """Fill the status from an envelope. envelope: None for a request that receives nothing."""
        self.reset()
        if envelope is not None:
            self._numbers[:2] = envelope.source, envelope.tag
            self._set_bytes(envelope.nbytes)

    def from_nobody(self) -> None:
        """Set the status to the values that a receive from PROC_NULL gives."""
        self.reset()
        self._numbers[SOURCE] = PROC_NULL

    def _set_bytes(self, nbytes: int) -> None:
        self._numbers[LOW:] = np.array([nbytes], np.int64).view(np.int32)

    @property
    def nbytes(self) -> int:
        return int(self._numbers[LOW:].copy().view(np.int64)[0])

    def Get_source(self) -> int:
        return int(self._numbers[SOURCE])

    def Set_source(self, source: int) -> None:
        self._numbers[SOURCE] = source

    def Get_tag(self) -> int:
        return int(self._numbers[TAG])

    def Set_tag(self, tag: int) -> None:
        self._numbers[TAG] = tag

    def Get_error(self) -> int:
        return int(self._numbers[ERROR])

    def Set_error(self, error: int) -> None:
        self._numbers[ERROR] = error

    source = property(Get_source, Set_source)
    tag = property(Get_tag, Set_tag)
    error = property(Get_error, Set_error)

    def Get_count(self, datatype: Any = BYTES) -> int:
        """Returns the number of received items; UNDEFINED if the bytes are not a whole number of items."""
        found = from_code(datatype) if isinstance(datatype, str) else datatype
        if found.size == 0:
            return 0
        return UNDEFINED if self.nbytes % found.size else self.nbytes // found.size

    def Get_elements(self, datatype: Any = BYTES) -> int:
        """Returns the number of received elements of the datatype's base type."""
        found = from_code(datatype) if isinstance(datatype, str) else datatype
        if found.base is None or found.size == 0:
            return 0
        return self.nbytes // found.base.itemsize

    def Set_elements(self, datatype: Datatype, count: int) -> None:
        self._set_bytes(count * datatype.size)

    count = property(lambda self: self.Get_count(), lambda self, count: self.Set_elements(BYTES, count))

    def Is_cancelled(self) -> bool:
        return bool(self._numbers[CANCELLED])

    def Set_cancelled(self, flag: bool) -> None:
        self._numbers[CANCELLED] = flag

    cancelled = property(Is_cancelled, Set_cancelled)

    def tomemory(self) -> memoryview:
        return self._numbers.data

    def __getstate__(self) -> list[int]:
        return [int(number) for number in self._numbers]

    def __setstate__(self, numbers: list[int]) -> None:
        self._numbers = np.array(numbers, np.int32)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Status) and bool((self._numbers == other._numbers).all())

    __hash__ = None                                                 # type: ignore[assignment]
