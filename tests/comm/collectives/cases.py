"""Shared parts of the tests of collectives: arrays that each rank can compute for every other rank, and
checks that can fail.

Values are whole numbers, so that sums are exact in any order, in every dtype.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minipar.comm.collectives import ALGORITHMS, all_reduce, reduce_scatter
from minipar.comm.protocol import Communicator, exchange

EXPECTED: dict[str, Any] = {"sum": np.sum, "mean": np.mean, "max": np.max, "min": np.min}


def share(rank: int, shape: int | tuple[int, ...], dtype: str = "f8") -> np.ndarray:
    """Rank `rank`'s array."""
    return np.random.default_rng(rank).integers(-50, 50, shape).astype(dtype)


def shares(size: int, shape: int | tuple[int, ...], dtype: str = "f8") -> np.ndarray:
    """All ranks' arrays, [size, *shape]."""
    return np.stack([share(rank, shape, dtype) for rank in range(size)])


def algorithms(comm: Communicator, operation: str) -> list[str]:
    """The names that work on this engine, and "auto"."""
    return ["auto", *(name for name in ALGORITHMS[operation] if name != "native" or comm.native is not None)]


def uneven(size: int) -> list[int]:
    """Counts that do not divide evenly, with ranks that have nothing: 3, 0, 2, 5, 3, 0, ..."""
    return [(3, 0, 2, 5)[rank % 4] for rank in range(size)]


def same_bits(comm: Communicator, array: np.ndarray) -> bool:
    """Whether all ranks hold the same bytes."""
    tag = comm.entering("same_bits", None, None, label="same bits")
    raw = np.frombuffer(array.tobytes(), np.uint8)
    everyone = exchange(comm, raw, label="same bits", tag=tag)
    return bool((everyone == everyone[0]).all())


def check_all_reduce(comm: Communicator, algorithm: str, op: str, shape: int | tuple[int, ...],
                     dtype: str) -> None:
    """Out of place and in place: the right values, the same bits on all ranks, and the input as it was."""
    mine = share(comm.rank, shape, dtype)
    expected = EXPECTED[op](shares(comm.size, shape, dtype), axis=0)
    total = all_reduce(comm, mine, op, label="test", algorithm=algorithm)
    about = f"all_reduce {op} by {algorithm} of {shape} {dtype} on {comm.size} ranks"
    assert np.array_equal(mine, share(comm.rank, shape, dtype)), f"{about} wrote into its input"
    assert total.dtype == expected.dtype and np.allclose(total, expected, rtol=1e-6, atol=0), about
    assert same_bits(comm, total), f"{about}: ranks differ"
    if total.dtype == mine.dtype:
        assert all_reduce(comm, mine, op, label="test", algorithm=algorithm, out=mine) is mine
        assert np.array_equal(mine, total), f"{about}, in place"


def check_reduce_scatter(comm: Communicator, algorithm: str, op: str, counts: Sequence[int] | None,
                         rows: int) -> None:
    mine = share(comm.rank, (rows, 3))
    expected = EXPECTED[op](shares(comm.size, (rows, 3)), axis=0)
    given = [len(part) for part in np.array_split(expected, comm.size)] if counts is None else counts
    start = sum(given[:comm.rank])
    own = reduce_scatter(comm, mine, op, counts=counts, label="test", algorithm=algorithm)
    about = f"reduce_scatter {op} by {algorithm} of {rows} rows as {counts} on {comm.size} ranks"
    assert np.array_equal(mine, share(comm.rank, (rows, 3))), f"{about} wrote into its input"
    assert np.allclose(own, expected[start:start + given[comm.rank]], rtol=1e-12, atol=0), about
    place = mine[start:start + given[comm.rank]]
    assert reduce_scatter(comm, mine, op, counts=counts, label="test", algorithm=algorithm,
                          out=place) is place
    assert np.array_equal(place, own), f"{about}, into its own rows"
