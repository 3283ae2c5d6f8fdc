"""Checks the arguments of collectives and makes the error messages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minipar.arrays import no_array
from minipar.comm.collectives.chunks import even_counts
from minipar.comm.collectives.combine import Combine
from minipar.comm.diagnostics.call_site import caller, label_or_call_site, quoted, wrong_call
from minipar.comm.diagnostics.in_flight import refuse_overlap
from minipar.comm.protocol import CODES, Communicator, is_whole
from minipar.comm.refusals import no_such_rank
from minipar.errors import CommError

# a mean is a sum that is divided at the end
REDUCTIONS = {"sum": np.add, "mean": np.add, "max": np.maximum, "min": np.minimum}


class Call:
    """One call of a collective. Its methods check the arguments and make the error messages."""

    def __init__(self, comm: Communicator, operation: str, label: str | None = None) -> None:
        if comm is None:
            raise CommError(f"{operation}{quoted(label)} at {caller()[1]} needs a communicator, not None; "
                            "split returns None on a rank whose color is None")
        self.comm, self.operation, self.label = comm, operation, label_or_call_site(label)

    def wrong(self, item: str, text: str) -> CommError:
        """Returns the error for the argument `item` of this call."""
        return wrong_call(self.comm, self.label, self.operation, text, item=item)

    def reduction(self, op: str) -> None:
        if not isinstance(op, str) or op not in REDUCTIONS:
            raise self.wrong("op", f"has no reduction '{op}'; choose {', '.join(REDUCTIONS)}")

    def combine(self, op: str, dtype: np.dtype) -> np.ufunc | Combine:
        """Returns the function that combines two arrays. In checked mode, a sum of floats reports an
        overflow.
        """
        ufunc = REDUCTIONS[op]
        if self.comm.checked and ufunc is np.add and dtype.kind == "f":
            return Combine(ufunc, self.comm, f"{self.operation} {op}", self.label)
        return ufunc

    def root(self, root: int) -> int:
        if not is_whole(root) or not 0 <= root < self.comm.size:
            raise self.wrong("root", no_such_rank(self.comm, f"root {root!r}", root))
        return root

    def source(self, array: np.ndarray, op: str = "") -> np.ndarray:
        """Returns the input as a contiguous array. For a mean, integers are converted to float64."""
        if text := no_array(array):
            raise self.wrong("array", f"needs a NumPy array, not {text}")
        if array.dtype not in CODES:  # checked here, since "native" and a group of one rank send no messages
            raise self.wrong("dtype", f"cannot carry dtype {array.dtype}; use one of "
                                      f"{', '.join(map(str, CODES))}")
        if op in ("sum", "mean") and array.dtype.kind == "b":  # NumPy's sum of True and True is True, not 2
            raise self.wrong("dtype", f"cannot {'sum' if op == 'sum' else 'average'} booleans; count them "
                                      "with .astype(np.int64), or take their max: is any of them true?")
        self.unused(array, writes=False)
        if op == "mean" and array.dtype.kind != "f":
            return array.astype(np.float64)
        return array if array.flags.c_contiguous else np.ascontiguousarray(array)

    def result(self, out: np.ndarray | None, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Returns `out`, or a new array if `out` is None. Raises CommError if the result does not fit `out`.
        """
        if out is None:
            return np.empty(shape, dtype)
        if text := no_array(out):
            raise self.wrong("out", f"gives {shape} {dtype}, which does not fit into out: {text}")
        if out.shape != shape or out.dtype != dtype:
            raise self.wrong("out", f"gives {shape} {dtype}, which does not fit into out: {out.shape} "
                                    f"{out.dtype}")
        if not (out.flags.c_contiguous and out.flags.writeable):
            raise self.wrong("out", "cannot write into out, which must be contiguous and writeable")
        self.unused(out, writes=True)
        return out

    def unused(self, array: np.ndarray, *, writes: bool) -> None:
        """In checked mode, raises CommError if the array shares memory with a message in flight."""
        if self.comm.books and self.comm.books.busy:
            refuse_overlap(self.comm, self.comm.books, array, self.operation, self.label, writes=writes)

    def keep_apart(self, one: np.ndarray, other: np.ndarray, allowed: np.ndarray | None = None) -> None:
        """Raises CommError if the input and the output overlap. The overlap is allowed if `one` starts at the
        address of `allowed`.
        """
        if (
            one is not allowed
            and np.may_share_memory(one, other)
            and (allowed is None or address(one) != address(allowed))
        ):
            raise self.wrong("out", "cannot read its input from memory that it writes its result into; "
                                    "give it another out")

    def rows(self, array: np.ndarray) -> int:
        """Returns the number of rows. Collectives divide an array along its first axis."""
        if array.ndim == 0:
            raise self.wrong("array", "divides its array along the first axis, and a scalar has none")
        return len(array)

    def split(self, rows: int, counts: Sequence[int] | None) -> list[int]:
        """Returns the number of rows of each rank: `counts`, or by default numbers that are as even as
        possible.
        """
        if counts is None:
            return even_counts(rows, self.comm.size)
        if sum(self.one_each(counts)) != rows:
            raise self.wrong("counts", f"has {rows} rows, but counts={list(counts)} are {sum(counts)}")
        return list(counts)

    def gathered(self, array: np.ndarray, counts: Sequence[int] | None) -> list[int]:
        """Returns the number of rows of each rank: `counts`, or by default this rank's number of rows for
        every rank.
        """
        rows = self.rows(array)
        if counts is None:
            return [rows] * self.comm.size
        if self.one_each(counts)[self.comm.rank] != rows:
            raise self.wrong("counts", f"has {rows} rows, but counts={list(counts)} has "
                                       f"{counts[self.comm.rank]} for this rank")
        return list(counts)

    def one_each(self, counts: Sequence[int]) -> Sequence[int]:
        if (not isinstance(counts, (Sequence, np.ndarray)) or len(counts) != self.comm.size
                or not all(is_whole(count) and count >= 0 for count in counts)):
            raise self.wrong("counts", "needs one count of rows per rank, whole numbers, none below 0, "
                                       f"not {counts!r:.60}")
        return counts


def elements(counts: Sequence[int], row: tuple[int, ...]) -> list[int]:
    """Convert counts of rows to counts of elements. row: the shape of one row."""
    length = int(np.prod(row, dtype=np.int64))
    return [count * length for count in counts]


def address(array: np.ndarray) -> int:
    """Returns the address of the array's first byte."""
    start: int = array.__array_interface__["data"][0]
    return start
