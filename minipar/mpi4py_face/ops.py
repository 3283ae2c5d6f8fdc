"""Reduction operations: MPI.SUM and the others, on arrays and on Python objects, and Op.Create.

In an upper-case collective, an operation combines two arrays of one element type. It is a function
`combine(one, other, out=...)`, as in `minipar.comm.collectives`. In a lower-case collective, an operation
combines two objects. A program can also call an operation: MPI.SUM(x, y) is x + y.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from minipar.mpi4py_face import buffers
from minipar.mpi4py_face.current import current
from minipar.mpi4py_face.datatypes import Datatype
from minipar.mpi4py_face.exceptions import wrong
from minipar.mpi4py_face.handles import NoHandle
from minipar.mpi4py_face.memory import RawMemory

CombineArrays = Any  # a function combine(one, other, *, out) that returns out, like a ufunc
MOST = 32  # largest number of operations of Op.Create, as in mpi4py


def arithmetic(ufunc: np.ufunc) -> CombineArrays:
    """Returns an arithmetic operation on arrays. As in an MPI library, an overflow gives no warning."""

    def combine(one: np.ndarray, other: np.ndarray, *, out: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            ufunc(one, other, out=out)
        return out

    return combine


def logical(ufunc: np.ufunc) -> CombineArrays:
    """Returns a logical operation on arrays. Its result is 0 or 1 in the type of the operands."""

    def combine(one: np.ndarray, other: np.ndarray, *, out: np.ndarray) -> np.ndarray:
        out[...] = ufunc(one, other)
        return out

    return combine


def kept(index: int) -> CombineArrays:
    """Returns an operation whose result is its first (index 0) or its second (index 1) argument."""

    def combine(one: np.ndarray, other: np.ndarray, *, out: np.ndarray) -> np.ndarray:
        out[...] = (one, other)[index]
        return out

    return combine


def located(better: Callable[[Any, Any], Any]) -> CombineArrays:
    """Returns MAXLOC or MINLOC on arrays of pairs (value, loc). For two equal values, the result has the
    lower loc.
    """

    def combine(one: np.ndarray, other: np.ndarray, *, out: np.ndarray) -> np.ndarray:
        same = one["value"] == other["value"]
        first = np.where(same, one["loc"] <= other["loc"], better(one["value"], other["value"]))
        out[...] = np.where(first, one, other)
        return out

    return combine


def located_object(better: Callable[[Any, Any], bool]) -> Callable[[Any, Any], Any]:
    def combine(one: Any, other: Any) -> Any:
        (value, location), (other_value, other_location) = one, other
        if value == other_value:
            return one if location <= other_location else (other_value, other_location)
        return (value, location) if better(value, other_value) else (other_value, other_location)

    return combine


# name -> function on arrays, function on objects, and the allowed kinds (dtype.kind) of the arrays
TABLE: dict[str, tuple[CombineArrays, Callable[[Any, Any], Any], str]] = {
    "MAX": (arithmetic(np.maximum), lambda x, y: y if y > x else x, "iuf"),
    "MIN": (arithmetic(np.minimum), lambda x, y: y if y < x else x, "iuf"),
    "SUM": (arithmetic(np.add), operator.add, "iufc"),
    "PROD": (arithmetic(np.multiply), operator.mul, "iufc"),
    "LAND": (logical(np.logical_and), lambda x, y: bool(x) & bool(y), "iub"),
    "LOR": (logical(np.logical_or), lambda x, y: bool(x) | bool(y), "iub"),
    "LXOR": (logical(np.logical_xor), lambda x, y: bool(x) ^ bool(y), "iub"),
    "BAND": (np.bitwise_and, operator.and_, "iu"), "BOR": (np.bitwise_or, operator.or_, "iu"),
    "BXOR": (np.bitwise_xor, operator.xor, "iu"),
    "MAXLOC": (located(operator.gt), located_object(operator.gt), "V"),
    "MINLOC": (located(operator.lt), located_object(operator.lt), "V"),
    "REPLACE": (kept(1), lambda x, y: y, "iufcbV"), "NO_OP": (kept(0), lambda x, y: x, "iufcbV"),
}
PREDEFINED: dict[str, Op] = {}


class Op(NoHandle):
    """A reduction operation. Op() is OP_NULL."""

    def __new__(cls, op: Op | None = None) -> Op:
        new = super().__new__(cls)
        new.name = "OP_NULL" if op is None else op.name
        new.function = None if op is None else op.function
        new.commute = True if op is None else op.commute
        return new

    name: str
    function: Callable[..., Any] | None                             # function of the program, for Op.Create
    commute: bool

    @classmethod
    def Create(cls, function: Callable[..., Any], commute: bool = False) -> Op:
        """Make an operation from a function of the program. function(inbuf, inoutbuf, datatype) combines two
        buffers and writes the result to the second one. For objects, the call is function(x, y, None), and it
        returns the result.
        """
        if not callable(function):
            raise TypeError("Op.Create needs a function (inbuf, inoutbuf, datatype)")
        rank = current()
        if rank.operations >= MOST:
            raise RuntimeError(f"cannot create more than {MOST} operations; free those no longer used, with "
                               "op.Free()")
        rank.operations += 1
        new = super().__new__(cls)
        new.name, new.function, new.commute = "", function, commute
        return new

    def Free(self) -> None:
        if self.function is None:
            raise wrong("ERR_OP", f"{self.name} is predefined and cannot be freed")
        current().operations -= 1
        self.name, self.function, self.commute = "OP_NULL", None, True

    def free(self) -> None:
        if self.function is not None:
            self.Free()

    def Is_commutative(self) -> bool:
        return self.commute

    is_commutative = property(Is_commutative)

    @property
    def is_predefined(self) -> bool:
        return self.function is None

    def combine(self, datatype: Datatype) -> CombineArrays:
        """Returns the operation on arrays of this type. Raises MPIError if the operation does not support the
        type.
        """
        if self.function is not None:
            return self.of_the_program(self.function, datatype)
        if self.name not in TABLE:
            raise wrong("ERR_OP", "the operation is OP_NULL; name one, such as MPI.SUM")
        on_arrays, _, kinds = TABLE[self.name]
        if datatype.base is None or datatype.base.kind not in kinds:
            if self.name in ("MAXLOC", "MINLOC"):
                raise wrong("ERR_OP", f"MPI.{self.name} takes pairs of a value and a location, such as "
                                      "MPI.DOUBLE_INT, not "
                            f"{datatype.name or datatype.base}; on objects: comm.allreduce((value, rank), "
                            f"op=MPI.{self.name})")
            raise wrong("ERR_OP", f"MPI.{self.name} is not defined for {datatype.name or datatype.base}")
        return on_arrays

    def of_the_program(self, function: Callable[..., Any], datatype: Datatype) -> CombineArrays:
        def combine(one: np.ndarray, other: np.ndarray, *, out: np.ndarray) -> np.ndarray:
            into = other.copy()
            function(RawMemory.over(one), RawMemory.over(into), datatype)
            out[...] = into
            return out

        return combine

    def __call__(self, x: Any, y: Any) -> Any:
        if self.function is not None:
            return self.function(x, y, None)
        if self.name not in TABLE:
            raise ValueError("the operation is OP_NULL")
        return TABLE[self.name][1](x, y)

    def Reduce_local(self, inbuf: Any, inoutbuf: Any) -> None:
        """Compute inoutbuf = inbuf op inoutbuf, without communication."""
        one, other = buffers.simple(inbuf, writable=False), buffers.simple(inoutbuf, writable=True)
        if one.datatype != other.datatype or one.count != other.count:
            raise ValueError(f"mismatch in send count {one.count} and receive count {other.count}, or in "
                             "their types")
        assert other.datatype.base is not None
        terms = other.pack().view(other.datatype.base)
        self.combine(other.datatype)(one.pack().view(other.datatype.base), terms, out=terms)
        other.unpack(terms.view(np.uint8))

    def __bool__(self) -> bool:
        return self.name != "OP_NULL"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Op):
            return NotImplemented
        return self.name == other.name and self.function is other.function and (
            self.function is None or self is other or self.name != "")

    def __hash__(self) -> int:
        return hash((self.name, self.function))

    def __reduce__(self) -> Any:
        if self.function is not None:
            return Op.Create, (self.function, self.commute)
        return (predefined if PREDEFINED.get(self.name) is self else copied), (self.name,)

    def __repr__(self) -> str:
        return f"<mpi4py.MPI.Op {self.name or self.function}>"


def predefined(name: str) -> Op:
    return PREDEFINED[name]


def copied(name: str) -> Op:
    return Op(PREDEFINED[name])


for _name in (*TABLE, "OP_NULL"):
    PREDEFINED[_name] = Op()
    PREDEFINED[_name].name = _name
