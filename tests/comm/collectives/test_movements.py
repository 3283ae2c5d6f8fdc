"""The collectives that only move arrays: every algorithm, every root, even and uneven counts, many numbers of
ranks.
"""

import numpy as np
import pytest

from minipar.comm.collectives import (
    ALGORITHMS,
    all_gather,
    all_to_all,
    broadcast,
    even_counts,
    gather,
    scatter,
)
from minipar.comm.collectives.channel import AlgorithmSteps, Channel
from minipar.comm.protocol import DTYPES, Communicator
from minipar.comm.threads import run
from tests.comm.collectives.cases import algorithms, same_bits, share, uneven
from tests.ranks import ranks

everywhere = ranks(1, 2, 3, 4, 5, 6, 7, 8, 9, 16, mpi=(2, 3, 4, 5))


def roots(comm: Communicator) -> set[int]:
    return {0, comm.size // 2, comm.size - 1}


def splits(size: int) -> list[list[int]]:
    """Rows per rank: one each, none at all, even ones with a remainder, uneven ones."""
    return [[1] * size, [0] * size, even_counts(3 * size + 1, size), uneven(size)]


def check_broadcast(comm: Communicator, algorithm: str, shape: int | tuple[int, ...], root: int) -> None:
    mine = share(comm.rank, shape)
    got = broadcast(comm, mine, root=root, label="test", algorithm=algorithm)
    about = f"broadcast by {algorithm} of {shape} from {root} on {comm.size} ranks"
    assert np.array_equal(mine, share(comm.rank, shape)), f"{about} wrote into its input"
    assert np.array_equal(got, share(root, shape)) and same_bits(comm, got), about
    assert broadcast(comm, mine, root=root, label="test", algorithm=algorithm, out=mine) is mine
    assert np.array_equal(mine, got), f"{about}, in place"


def check_gathers(comm: Communicator, algorithm: str, counts: list[int], root: int | None) -> None:
    """root None: all_gather."""
    mine = share(comm.rank, (counts[comm.rank], 2))
    everything = np.concatenate([share(rank, (count, 2)) for rank, count in enumerate(counts)])
    given = None if len(set(counts)) == 1 else counts
    if root is None:
        got = all_gather(comm, mine, counts=given, label="test", algorithm=algorithm)
    else:
        got = gather(comm, mine, counts=given, root=root, label="test", algorithm=algorithm)
    about = f"gather by {algorithm} of {counts} to {root}"
    assert np.array_equal(mine, share(comm.rank, (counts[comm.rank], 2))), f"{about} wrote into its input"
    assert np.array_equal(got, everything) if root in (None, comm.rank) else got is None, about


def check_scatter(comm: Communicator, algorithm: str, counts: list[int] | None, rows: int, root: int) -> None:
    source = share(root, (rows, 2)) if comm.rank == root else np.empty((rows, 2))
    given = even_counts(rows, comm.size) if counts is None else counts
    start = sum(given[:comm.rank])
    own = scatter(comm, source, counts=counts, root=root, label="test", algorithm=algorithm)
    expected = share(root, (rows, 2))[start:start + given[comm.rank]]
    assert np.array_equal(own, expected), f"scatter by {algorithm} of {counts} from {root}"


def check_all_to_all(comm: Communicator, algorithm: str, table: np.ndarray | None) -> None:
    """table[r, s]: rows from rank r to rank s; None: two each, and nobody says so."""
    rows = np.full((comm.size, comm.size), 2) if table is None else table

    def block(source: int, dest: int) -> np.ndarray:
        return share(100 * source + dest, (int(rows[source, dest]), 3))

    mine = np.concatenate([block(comm.rank, rank) for rank in range(comm.size)])
    keep = mine.copy()
    counts = {} if table is None else {"send_counts": table[comm.rank].tolist(),
                                       "receive_counts": table[:, comm.rank].tolist()}
    got = all_to_all(comm, mine, label="test", algorithm=algorithm, **counts)
    assert np.array_equal(mine, keep), f"all_to_all by {algorithm} wrote into its input"
    expected = np.concatenate([block(rank, comm.rank) for rank in range(comm.size)])
    assert np.array_equal(got, expected), f"all_to_all by {algorithm}"


@everywhere
def test_broadcast(comm: Communicator) -> None:
    for algorithm in algorithms(comm, "broadcast"):
        for root in roots(comm):
            for shape in (0, 1, 5, (4, 5), ()):
                check_broadcast(comm, algorithm, shape, root)


@everywhere
def test_gather(comm: Communicator) -> None:
    for algorithm in algorithms(comm, "gather"):
        for root in roots(comm):
            for counts in splits(comm.size):
                check_gathers(comm, algorithm, counts, root)


@everywhere
def test_all_gather(comm: Communicator) -> None:
    for algorithm in algorithms(comm, "all_gather"):
        for counts in splits(comm.size):
            check_gathers(comm, algorithm, counts, None)


@everywhere
def test_all_gather_where_the_input_is_part_of_the_output(comm: Communicator) -> None:
    """As sharded weights are gathered: the rows of each rank are already in the whole array."""
    counts = even_counts(65, comm.size)
    whole = np.concatenate([share(rank, (count, 2)) for rank, count in enumerate(counts)])
    start = sum(counts[:comm.rank])
    for algorithm in algorithms(comm, "all_gather"):
        out = np.zeros_like(whole)
        own = out[start:start + counts[comm.rank]]
        own[:] = whole[start:start + counts[comm.rank]]
        assert all_gather(comm, own, counts=counts, label="test", out=out, algorithm=algorithm) is out
        assert np.array_equal(out, whole), algorithm


@everywhere
def test_scatter(comm: Communicator) -> None:
    for algorithm in algorithms(comm, "scatter"):
        for root in roots(comm):
            check_scatter(comm, algorithm, None, 65, root)
            for counts in splits(comm.size):
                check_scatter(comm, algorithm, counts, sum(counts), root)


@everywhere
def test_all_to_all(comm: Communicator) -> None:
    table = np.random.default_rng(7).integers(0, 4, (comm.size, comm.size))
    for algorithm in algorithms(comm, "all_to_all"):
        check_all_to_all(comm, algorithm, None)
        if algorithm != "bruck":
            check_all_to_all(comm, algorithm, table)
    counts = all_to_all(comm, table[comm.rank], label="counts")     # how a rank learns what it will receive
    assert np.array_equal(counts, table[:, comm.rank])


# The checks above can fail.

def misses_rank_1(channel: Channel, buffer: np.ndarray, root: int) -> AlgorithmSteps:
    if channel.rank != 1:
        others = channel.among([rank for rank in range(channel.size) if rank != 1])
        yield from ALGORITHMS["broadcast"]["naive"](others, buffer, 0)


def turns_the_order(channel: Channel, out: np.ndarray, counts: list[int]) -> AlgorithmSteps:
    yield from ALGORITHMS["all_gather"]["ring"](channel, out, counts)
    out[:] = np.roll(out, 2)


def sends_to_the_wrong_side(channel: Channel, source: np.ndarray, out: np.ndarray, send_counts: list[int],
                            receive_counts: list[int]) -> AlgorithmSteps:
    mirrored = channel.among(list(reversed(range(channel.size))))
    yield from ALGORITHMS["all_to_all"]["pairwise"](mirrored, source, out, send_counts, receive_counts)


def test_the_checks_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ALGORITHMS["broadcast"], "mutant", misses_rank_1)
    monkeypatch.setitem(ALGORITHMS["all_gather"], "mutant", turns_the_order)
    monkeypatch.setitem(ALGORITHMS["gather"], "mutant", ALGORITHMS["scatter"]["naive"])
    monkeypatch.setitem(ALGORITHMS["scatter"], "mutant", lambda *_: iter(()))
    monkeypatch.setitem(ALGORITHMS["all_to_all"], "mutant", sends_to_the_wrong_side)
    with pytest.raises(AssertionError, match="broadcast by mutant"):
        run(3, check_broadcast, "mutant", 5, 0)
    with pytest.raises(AssertionError, match="gather by mutant"):
        run(3, check_gathers, "mutant", [2, 2, 2], None)
    with pytest.raises((AssertionError, ValueError)):
        run(3, check_gathers, "mutant", [2, 2, 2], 0)
    with pytest.raises(AssertionError, match="scatter by mutant"):
        run(3, check_scatter, "mutant", None, 7, 0)
    with pytest.raises(AssertionError, match="all_to_all by mutant"):
        run(3, check_all_to_all, "mutant", None)


@ranks(3)
@pytest.mark.parametrize("dtype", [str(dtype) for dtype in DTYPES])
def test_what_moves_keeps_its_bits(comm: Communicator, dtype: str) -> None:
    """Every pattern of bits, so also NaN with a payload, -0.0, infinities and the smallest numbers."""
    p, known = comm.size, np.dtype(dtype)
    raw = np.random.default_rng(7).integers(
        0, 2 if dtype == "bool" else 256, (p, 2 * p, 8, known.itemsize), np.uint8
    )
    values = raw.view(known)[..., 0]                                # [p, 2 p, 8]: rows of each rank
    if known.kind == "f":
        special = [np.nan, -np.nan, np.inf, -np.inf, -0.0, np.finfo(known).smallest_subnormal,
                   np.finfo(known).max]
        values[:, 0, :7] = np.array(special, known)
    mine = values[comm.rank]
    blocks = values.reshape(p, p, 2, 8).swapaxes(0, 1).reshape(p, 2 * p, 8)
    wanted = {"broadcast": values[1], "gather": values.reshape(-1, 8),
              "scatter": values[1, 2 * comm.rank:][:2],
              "all_gather": values.reshape(-1, 8), "all_to_all": blocks[comm.rank]}
    calls = {"broadcast": broadcast, "gather": gather, "scatter": scatter, "all_gather": all_gather,
             "all_to_all": all_to_all}
    for operation, call in calls.items():
        options = {"root": 1} if operation in ("broadcast", "gather", "scatter") else {}
        for name in algorithms(comm, operation):
            got = call(comm, mine, label="bits", algorithm=name, **options)  # type: ignore[operator]
            if got is not None:
                assert got.tobytes() == wanted[operation].tobytes(), f"{operation} of {dtype} by {name}"
