"""The MPI library's own collectives, in the argument order of the hand-written ones (`minipar.comm.collectives`).

All arrays are flat and contiguous; counts are elements per rank. These calls wait inside the MPI library, without a
limit.
"""

from collections.abc import Sequence

import numpy as np
from mpi4py import MPI

from minipar.comm.collectives.arguments import address

OPERATIONS: dict[np.ufunc, MPI.Op] = {np.add: MPI.SUM, np.maximum: MPI.MAX, np.minimum: MPI.MIN}


def broadcast(comm: MPI.Intracomm, buffer: np.ndarray, root: int) -> None:
    comm.Bcast(buffer, root)


def reduce(comm: MPI.Intracomm, source: np.ndarray, out: np.ndarray, combine: np.ufunc, root: int) -> None:
    comm.Reduce(MPI.IN_PLACE if source is out and comm.rank == root else source, out, OPERATIONS[combine], root)


def all_reduce(comm: MPI.Intracomm, source: np.ndarray, out: np.ndarray, combine: np.ufunc) -> None:
    comm.Allreduce(MPI.IN_PLACE if source is out else source, out, OPERATIONS[combine])


def reduce_scatter(comm: MPI.Intracomm, source: np.ndarray, out: np.ndarray, counts: Sequence[int], combine: np.ufunc) -> None:
    comm.Reduce_scatter(apart(source, out), out, list(counts), OPERATIONS[combine])


def all_gather(comm: MPI.Intracomm, out: np.ndarray, counts: Sequence[int]) -> None:
    comm.Allgatherv(MPI.IN_PLACE, [out, list(counts)])


def gather(comm: MPI.Intracomm, source: np.ndarray, out: np.ndarray, counts: Sequence[int], root: int) -> None:
    comm.Gatherv(apart(source, out), [out, list(counts)] if comm.rank == root else None, root)


def scatter(comm: MPI.Intracomm, source: np.ndarray, out: np.ndarray, counts: Sequence[int], root: int) -> None:
    comm.Scatterv([apart(source, out), list(counts)] if comm.rank == root else None, out, root)


def all_to_all(comm: MPI.Intracomm, source: np.ndarray, out: np.ndarray, gives: Sequence[int], takes: Sequence[int]) -> None:
    comm.Alltoallv([source, list(gives)], [out, list(takes)])


def apart(source: np.ndarray, out: np.ndarray) -> np.ndarray:
    """MPI refuses a source that overlaps its result, or only touches it where one of the two is empty."""
    distance = address(out) - address(source)
    return source.copy() if -out.nbytes <= distance <= source.nbytes else source
