"""All algorithms of an operation give the same values: op x dtype x special value x algorithm, on threads and
under mpirun.

min and max are equal as numbers, with NaN before all; sums agree to rounding; booleans are truths; what is
not for a dtype is refused by name. The columns of one array are the cases, so that a table costs one call per
algorithm.
"""

import warnings
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from minipar.autograd import Tensor
from minipar.comm.collectives import (
    all_gather,
    all_reduce,
    broadcast,
    reduce,
    reduce_scatter,
    start_all_reduce,
)
from minipar.comm.collectives.arguments import Call
from minipar.comm.protocol import DTYPES, Communicator
from minipar.comm.solo import solo
from minipar.comm.threads import run
from minipar.comm.wrappers.checking import Checking
from minipar.errors import CommError
from tests.comm.collectives.cases import algorithms
from tests.ranks import ranks
from tests.refusals import refused

FLOATS = [dtype for dtype in DTYPES if dtype.kind == "f"]
INTEGERS = [dtype for dtype in DTYPES if dtype.kind in "iu"]
OPS = ("sum", "mean", "max", "min")


def columns(dtype: np.dtype, size: int) -> np.ndarray:
    """What each rank brings, [size, cases]."""
    rng = np.random.default_rng(0)
    if dtype.kind == "b":
        return np.array([[row >> rank & 1 for row in range(2**size)] for rank in range(size)], bool)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        values: list[Any] = [info.min, info.max, 0, 1, info.max // 2, info.min // 2]
    else:
        limits = np.finfo(dtype)
        values = [np.nan, np.inf, -np.inf, 0.0, -0.0, limits.max, limits.tiny, 1.0, -1.0, 0.1]
    one_special = [[value if rank == place else 1 for rank in range(size)] for value in values
                   for place in range(size)]
    alike = [[value] * size for value in values]
    both = [[values[(rank + shift) % len(values)] for rank in range(size)] for shift in range(len(values))]
    noise = (
        rng.integers(0, 100, (20, size)).tolist()
        if dtype.kind in "iu"
        else rng.standard_normal((20, size)).tolist()
    )
    return np.array(one_special + alike + both + noise, np.float64 if dtype.kind == "f"
                    else dtype).T.astype(dtype)


def expected(op: str, values: np.ndarray) -> np.ndarray:
    """The mathematical result of [size, cases], rounded once. A sum of integers wraps around."""
    if op in ("max", "min"):
        return getattr(np, f"{op}imum").reduce(values)
    if values.dtype.kind in "iu":
        return np.add.reduce(values, dtype=values.dtype) if op == "sum" else \
            np.array([float(Fraction(sum(map(int, column)), len(column))) for column in values.T])
    divisor = len(values) if op == "mean" else 1
    with np.errstate(all="ignore"):
        exact = [float(np.sum(column)) if not np.isfinite(column).all() else _rounded(column, divisor)
                 for column in values.T]
        return np.array(exact).astype(values.dtype)


def _rounded(column: np.ndarray, divisor: int) -> float:
    total = sum(map(Fraction, column.tolist())) / divisor
    try:
        return float(total)
    except OverflowError:
        return float(np.inf if total > 0 else -np.inf)


def same(found: np.ndarray, wanted: np.ndarray, op: str, values: np.ndarray) -> bool:
    """Equal as numbers; sums of floats to the rounding of the terms (which may cancel)."""
    if found.dtype != wanted.dtype:
        return False
    if op in ("max", "min") or (op == "sum" and wanted.dtype.kind != "f"):
        return np.array_equal(found, wanted, equal_nan=wanted.dtype.kind == "f")
    with np.errstate(all="ignore"):
        terms = len(values) * (len(values) if op == "sum" else 1)
        room = terms * np.finfo(wanted.dtype).eps * np.abs(values.astype(np.float64)).max(0)
        close = np.abs(found.astype(np.float64) - wanted.astype(np.float64)) <= room
    return bool((np.where(np.isfinite(wanted), close,
                          (found == wanted) | (np.isnan(found) & np.isnan(wanted)))).all())


def order_matters(values: np.ndarray) -> np.ndarray:
    """Cases in which one order of additions overflows and another one does not; they are not compared.
    """
    with np.errstate(all="ignore"):
        sums = np.abs(values.astype(np.float64)).sum(0)
        return (sums > np.finfo(values.dtype).max) & ~(
            np.abs(values.sum(0, dtype=np.float64)) > np.finfo(values.dtype).max
        )


OPERATIONS: dict[str, Callable[..., np.ndarray | None]] = {
    "all_reduce": lambda comm, mine, op, name: all_reduce(comm, mine, op, label="table", algorithm=name),
    "reduce": lambda comm, mine, op, name: reduce(comm, mine, op, root=1, label="table", algorithm=name),
    "reduce_scatter": lambda comm, mine, op, name: all_gather(
        comm, reduce_scatter(comm, mine, op, counts=[len(mine), 0, 0], label="table", algorithm=name),
        counts=[len(mine), 0, 0], label="back", algorithm="ring"),
}


@ranks(3)
@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("dtype", [str(dtype) for dtype in DTYPES])
def test_all_algorithms_agree(comm: Communicator, op: str, dtype: str) -> None:
    # unchecked: overflow is a value here, not a warning
    comm = comm.inner if isinstance(comm, Checking) else comm
    values = columns(np.dtype(dtype), comm.size)
    if dtype == "bool" and op in ("sum", "mean"):
        with refused(CommError, operation="all_reduce", item="dtype"):
            all_reduce(comm, values[comm.rank], op, label="table")
        return
    if values.dtype.kind == "f" and op == "sum":
        values = values[:, ~order_matters(values)]
    wanted = expected(op, values)
    with np.errstate(all="ignore"):
        for operation, call in OPERATIONS.items():
            for name in algorithms(comm, operation):
                found = call(comm, values[comm.rank].copy(), op, name)
                if found is not None:
                    assert same(found, wanted, op, values), (
                        f"{operation} {op} {dtype} by {name}: {found[:40]}, expected {wanted[:40]}, of {values[:, :40]}"
                    )


@ranks(3)
def test_a_mean_that_fits_does_not_overflow_or_vanish_on_the_way(comm: Communicator) -> None:
    """Also in place, scattered, not waited for; the smallest number of float16 is subnormal."""
    for dtype in FLOATS:
        largest, least = (
            np.finfo(dtype).max,
            np.finfo(dtype).smallest_subnormal if dtype.itemsize == 2 else np.finfo(dtype).tiny,
        )
        mine = np.array([largest, -largest, least, (0, 0, least)[comm.rank] * 3], dtype)
        wanted = np.array([largest, -largest, least, least], dtype)
        for name in algorithms(comm, "all_reduce"):
            assert np.array_equal(all_reduce(comm, mine.copy(), "mean", label="mean", algorithm=name),
                                  wanted), (dtype, name)
        for name in algorithms(comm, "reduce_scatter"):
            own = reduce_scatter(comm, np.tile(mine, (3, 1)), "mean", label="mean", algorithm=name)
            assert np.array_equal(own[0], wanted), (dtype, name)
        again = mine.copy()
        assert all_reduce(comm, again, "mean", label="mean",
                          out=again) is again and np.array_equal(again, wanted)
        assert np.array_equal(start_all_reduce(comm, mine, "mean", label="mean").wait(), wanted)
        assert all_reduce(comm, np.array(3.0, dtype), "mean", label="scalar").shape == ()


@ranks(3, engines=["mpi"])
@pytest.mark.parametrize("operation", list(OPERATIONS))
def test_an_overflow_is_reported_with_its_label_by_every_algorithm(comm: Communicator,
                                                                   operation: str) -> None:
    for name in algorithms(comm, operation):
        for label, mine, told in (("large", np.full(7, 3e38, np.float32), True),
                                  ("small", np.full(7, 3e37, np.float32), False),
                                  ("infinite", np.full(7, np.inf, np.float32), False)):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                call = {"all_reduce": all_reduce, "reduce": reduce,
                        "reduce_scatter": reduce_scatter}[operation]
                call(comm, np.full(7, mine, np.float32), label=label,
                     algorithm=name)
            mine_said = [str(warning.message) for warning in caught]
            flags = all_gather(comm, np.array([len(mine_said)]), label="said")
            assert bool(flags.any()) == told and all(f"'{label}'" in text and "infinite" in text
                                                     for text in mine_said), \
                (operation, name, label, mine_said)


def test_the_report_names_operation_label_and_line() -> None:
    with pytest.warns(RuntimeWarning,
                      match=r"all_reduce sum 'spectrum' at test_values.py:\d+: .*became infinite"):
        totals = run(3, lambda comm: all_reduce(comm, np.full(2, 6e4, np.float16), label="spectrum"))
    assert all(np.isinf(total).all() for total in totals)           # the arithmetic is as before


def test_unchecked_ranks_add_with_the_plain_ufunc() -> None:
    """No price where nothing is checked, nor for what cannot overflow."""
    def body(comm: Communicator) -> bool:
        return Call(comm, "all_reduce", "x").combine("sum", np.dtype("f4")) is np.add
    assert run(2, body, checked=False) == [True, True] and run(2, body) == [False, False]


REFUSED: dict[str, tuple[Any, str]] = {
    "masked": (np.ma.masked_array([1.0, 2.0], [False, True]), "array"),
    "tensor": (Tensor(np.ones(2), requires_grad=True), "array"),
    "gradient that is not there": (Tensor(np.ones(2), requires_grad=True).grad, "array"),
    "list": ([1.0, 2.0], "array"),
    "complex": (np.ones(2, complex), "dtype"),
    "strings": (np.array(["1", "2"]), "dtype"),
    "objects": (np.array([1.0, None]), "dtype"),
    "dates": (np.array(["2020-01-01"], "M8[D]"), "dtype"),
    "fields": (np.ones(2, [("a", "f4"), ("b", "i4")]), "dtype"),
    "matrix": (np.ones((2, 2)).view(np.matrix), "array"),
    "long double": (np.ones(2, np.longdouble), "dtype"),
    "swapped": (np.ones(2, ">f8"), "dtype"),
}


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("kind", REFUSED)
def test_what_would_be_cast_is_refused(kind: str, size: int) -> None:
    """On one rank, too, where no message would notice it; by sums, by movements, by plain messages, and as
    `out`.
    """
    value, item = REFUSED[kind]
    for call in (lambda comm: all_reduce(comm, value, label="w"),
                 lambda comm: broadcast(comm, value, label="w"),
                 lambda comm: all_reduce(comm, np.ones(2), label="w", out=value if value is not None  # type: ignore[arg-type]
                                         else [0.0]),
                 lambda comm: comm.isend(value, 0, label="w"), lambda comm: comm.irecv(value, 0, label="w")):
        with refused(CommError, label="w"):
            run(size, call)
    with refused(CommError, operation="all_reduce", label="w", item=item):
        all_reduce(solo(), value, label="w")


@ranks(2, engines=["mpi"])
def test_what_the_mpi_library_does_not_know_is_refused_by_name(comm: Communicator) -> None:
    from mpi4py import MPI

    from minipar.comm.mpi import native as library
    known = library.TRUTHS[np.maximum]
    library.TRUTHS[np.maximum] = MPI.MAX                            # which MPI does not define for booleans
    try:
        with pytest.raises(CommError, match="all_reduce 'w' .*of bool.*choose another algorithm than native"):
            all_reduce(comm, np.array([True]), "max", label="w", algorithm="native")
    finally:
        library.TRUTHS[np.maximum] = known

