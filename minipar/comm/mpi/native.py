"""Calls the MPI library's own collectives. Each function has the same arguments as the hand-written algorithm
of this name (`minipar.comm.collectives`), after the communicator.

All arrays are flat and contiguous. Counts are numbers of elements per rank. These calls wait inside the MPI
library; the watchdog limits their time.

MPI does not define MPI_MAX of a NaN: whether the result is NaN may depend on which rank passes the NaN. MPI
has no MPI_MAX of booleans. Not every library can add float16. In Open MPI, sums of 8-bit and 16-bit integers
saturate; in other libraries they wrap around. For these cases minipar makes its own MPI ops, which call the
same ufuncs as the hand-written algorithms. All other ops are MPI's own ops.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from mpi4py import MPI

from minipar.comm.collectives.arguments import address
from minipar.comm.deadlock.watchdog import Watchdog

OPERATIONS: dict[np.ufunc, MPI.Op] = {np.add: MPI.SUM, np.maximum: MPI.MAX, np.minimum: MPI.MIN}
TRUTHS: dict[np.ufunc, MPI.Op] = {np.maximum: MPI.LOR, np.minimum: MPI.LAND}


class NativeCollectives:
    """The library's collectives on one communicator, `intracomm`, for algorithm="native"."""

    def __init__(self, intracomm: MPI.Intracomm, watchdog: Watchdog) -> None:
        self.intracomm, self.watchdog = intracomm, watchdog

    def attempt(self, operation: str, label: str | None, *arguments: Any) -> str:
        """Call the operation. Returns "", or the library's error text for an unknown op or dtype.

        A library reports an unknown op or dtype on every rank before it sends a message.
        """
        try:
            with self.watchdog.of(operation, label):
                globals()[operation](self.intracomm, *arguments)
        except MPI.Exception as error:
            if error.Get_error_class() not in (MPI.ERR_OP, MPI.ERR_TYPE):
                raise
            return MPI.Get_error_string(error.Get_error_class()).split(",")[0].strip()
        return ""

    def all_finite(self, label: str | None, source: np.ndarray) -> bool:
        """Returns whether all elements of all ranks' arrays are finite."""
        with self.watchdog.of("all_reduce", label):
            return bool(self.intracomm.allreduce(bool(np.isfinite(source).all()), MPI.LAND))


def operation_of(combine: np.ufunc, dtype: np.dtype) -> MPI.Op:
    """Returns an MPI op that gives the ufunc's result for every value of the dtype."""
    if dtype.kind == "b":
        return TRUTHS[combine]
    own = dtype.itemsize <= 2 if combine is np.add else dtype.kind == "f"
    return own_operation(combine, dtype) if own else OPERATIONS[combine]


@cache                                            # at most eleven ops; MPI_Finalize frees them
def own_operation(combine: np.ufunc, dtype: np.dtype) -> MPI.Op:
    def call(one: Any, other: Any, datatype: MPI.Datatype) -> None:     # two buffers of equal length
        into = np.frombuffer(other, dtype)
        with np.errstate(all="ignore"):  # an exception cannot pass through the library
            combine(np.frombuffer(one, dtype), into, out=into)

    return MPI.Op.Create(call, commute=True)


def broadcast(comm: MPI.Intracomm, buffer: np.ndarray, root: int) -> None:
    comm.Bcast(buffer, root)


def reduce(comm: MPI.Intracomm, source: np.ndarray, out: np.ndarray, combine: np.ufunc, root: int) -> None:
    comm.Reduce(MPI.IN_PLACE if source is out and comm.rank == root else source, out,
                operation_of(combine, out.dtype), root)


def all_reduce(comm: MPI.Intracomm, source: np.ndarray, out: np.ndarray, combine: np.ufunc) -> None:
    comm.Allreduce(MPI.IN_PLACE if source is out else source, out, operation_of(combine, out.dtype))


def reduce_scatter(comm: MPI.Intracomm, source: np.ndarray, out: np.ndarray, counts: Sequence[int],
                   combine: np.ufunc) -> None:
    comm.Reduce_scatter(apart(source, out), out, list(counts), operation_of(combine, out.dtype))


def all_gather(comm: MPI.Intracomm, out: np.ndarray, counts: Sequence[int]) -> None:
    comm.Allgatherv(MPI.IN_PLACE, [out, list(counts)])


def gather(comm: MPI.Intracomm, source: np.ndarray, out: np.ndarray, counts: Sequence[int],
           root: int) -> None:
    comm.Gatherv(apart(source, out), [out, list(counts)] if comm.rank == root else None, root)


def scatter(comm: MPI.Intracomm, source: np.ndarray, out: np.ndarray, counts: Sequence[int],
            root: int) -> None:
    comm.Scatterv([apart(source, out), list(counts)] if comm.rank == root else None, out, root)


def all_to_all(comm: MPI.Intracomm, source: np.ndarray, out: np.ndarray, send_counts: Sequence[int],
               receive_counts: Sequence[int]) -> None:
    comm.Alltoallv([source, list(send_counts)], [out, list(receive_counts)])


def apart(source: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Returns `source`, or a copy if `source` overlaps or touches `out`, since MPI does not allow this."""
    distance = address(out) - address(source)
    return source.copy() if -out.nbytes <= distance <= source.nbytes else source
