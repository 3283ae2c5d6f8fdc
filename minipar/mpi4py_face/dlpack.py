"""Finds the host memory of an object that supports DLPack, such as a PyTorch tensor.

DLPack passes the description of an array in a capsule, a Python object that holds a C structure. NumPy can
also read DLPack, but not every element type. Some libraries free the memory when the capsule is deleted,
although a NumPy array still uses the memory. So this module reads the structure itself, while the capsule
exists. The object continues to own the memory. Source: dlpack.h, version 0.8 (DLManagedTensor).
"""

from __future__ import annotations

import ctypes
from typing import Any

HOST = 1                                                            # DLPack's number for host memory (kDLCPU)
FLOAT = 2  # DLPack's number for floats; complex numbers are floats with 2 "lanes" (values per element)
KINDS = {0: "i", 1: "u", FLOAT: "f", 5: "c", 6: "b"}                    # NumPy's kind for a DLDataTypeCode


class DLTensor(ctypes.Structure):
    """The first fields of a DLManagedTensor."""

    _fields_ = [("data", ctypes.c_void_p), ("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32),
                ("ndim", ctypes.c_int32), ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8),
                ("lanes", ctypes.c_uint16), ("shape", ctypes.POINTER(ctypes.c_int64)),
                ("strides", ctypes.POINTER(ctypes.c_int64)), ("byte_offset", ctypes.c_uint64)]


def dlpack_interface(value: Any) -> dict[str, Any] | None:
    """Returns NumPy's array interface of the object's memory; None for memory that is not on the host."""
    if value.__dlpack_device__()[0] != HOST:
        return None
    capsule = value.__dlpack__()
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    tensor = ctypes.cast(pointer(capsule, b"dltensor"), ctypes.POINTER(DLTensor)).contents
    kind = "c" if tensor.code == FLOAT and tensor.lanes == 2 else KINDS.get(tensor.code, "")
    if not kind or tensor.lanes > 1 and kind != "c":
        raise ValueError(f"message: elements of DLPack type {tensor.code} have no MPI datatype; convert them "
                         "first")
    itemsize = (tensor.bits * tensor.lanes + 7) // 8
    shape = tuple(tensor.shape[axis] for axis in range(tensor.ndim))
    strides = tuple(tensor.strides[axis] * itemsize
                    for axis in range(tensor.ndim)) if tensor.strides else None
    return {"shape": shape, "strides": strides, "typestr": f"<{kind}{itemsize}",
            "data": ((tensor.data or 0) + tensor.byte_offset, False), "version": 3}
