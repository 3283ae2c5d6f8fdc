"""Wrong arguments: one clear line each, which says what was given and what to do."""

from collections.abc import Callable

import numpy as np
import pytest

from minipar.comm.collectives import (
    all_gather,
    all_reduce,
    all_to_all,
    broadcast,
    gather,
    reduce,
    reduce_scatter,
    scatter,
    shared_array,
)
from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.errors import CommError

X = np.ones((4, 3))


def read_only() -> np.ndarray:
    array = np.ones((4, 3))
    array.flags.writeable = False
    return array


def overlapping(comm: Communicator) -> np.ndarray:
    memory = np.ones(5)
    return all_reduce(comm, memory[:4], label="w", out=memory[1:])


WRONG: list[tuple[Callable[[Communicator], object], str]] = [
    (lambda c: all_reduce(c, X, "product", label="w"),
     "all_reduce 'w' at test_arguments.py:.* has no reduction 'product'; choose sum, mean, max, min"),
    (lambda c: all_reduce(c, X, label="w", algorithm="rings"),
     "all_reduce has no algorithm 'rings'; choose auto, by_size, naive, tree"),
    (lambda c: broadcast(c, X, label="w", algorithm="shared"), "broadcast has no algorithm 'shared'"),
    (lambda c: all_reduce(c, X.tolist(), label="w"), "needs a NumPy array, not list"),
    # type: ignore[arg-type]
    (lambda c: all_reduce(None, X, label="w"),
     "all_reduce 'w' at test_arguments.py:.* needs a communicator, not None"),    # type: ignore[arg-type]
    (lambda c: reduce(c, X > 0, label="w"), "cannot sum booleans; count them with .astype"),
    (lambda c: all_reduce(c, X, label="w", out=np.ones(4)),
     r"\(4, 3\) float64, which does not fit into out: \(4,\)"),
    (lambda c: all_reduce(c, X.astype(int), "mean", label="w", out=X.astype(int)),
     "float64, which does not fit into out"),
    (lambda c: all_reduce(c, X, label="w", out=np.ones((3, 4)).T), "contiguous and writeable"),
    (lambda c: all_reduce(c, X, label="w", out=read_only()), "contiguous and writeable"),
    (overlapping, "cannot read its input from memory that it writes"),
    (lambda c: all_to_all(c, X[:2], label="w", out=X[:2]),
     "cannot read its input from memory that it writes"),
    (lambda c: all_reduce(c, X, label="w", algorithm="native"),
     "algorithm='native' is the MPI library's own"),
    (lambda c: all_reduce(c, X.astype(complex), label="w"), "cannot carry dtype complex128"),
    (lambda c: broadcast(c, X, root=2, label="w"), "names root 2, but the group has ranks 0 to 1"),
    (lambda c: reduce(c, X, root=-1, label="w"), "names root -1"),
    (lambda c: broadcast(c, X, root=c.size / 2, label="w"), "names root 1.0, but the group has ranks 0 to 1"),
    # type: ignore[arg-type]
    (lambda c: reduce_scatter(c, X, counts=[2, 3], label="w"), r"has 4 rows, but counts=\[2, 3\] are 5"),
    (lambda c: reduce_scatter(c, X, counts=[4], label="w"), "needs one count of rows per rank"),
    (lambda c: scatter(c, X, counts=[5, -1], label="w"), "needs one count of rows per rank, none below 0"),
    (lambda c: all_gather(c, X, counts=[1, 2], label="w"),
     r"brings 4 rows, but counts=\[1, 2\] has [12] for this rank"),
    (lambda c: gather(c, np.array(1.0), label="w"), "a scalar has none"),
    (lambda c: all_to_all(c, X[:3], label="w"),
     "cannot cut 3 rows into 2 equal blocks; give send_counts and receive_counts"),
    (lambda c: all_to_all(c, X, send_counts=[1, 3], label="w"),
     "needs send_counts and receive_counts, or neither"),
    (lambda c: all_to_all(c, X, send_counts=[1, 3], receive_counts=[[1, 1], [3, 3]][c.rank], label="w",
                          algorithm="bruck"),
     "by bruck needs blocks of one size"),
]


@pytest.mark.parametrize(("call", "text"), WRONG, ids=[text[:40] for _, text in WRONG])
def test_what_is_wrong_is_said(call: Callable[[Communicator], object], text: str) -> None:
    with pytest.raises(CommError, match=text) as caught:
        run(2, call)
    assert "\n" not in str(caught.value)


def test_ranks_that_bring_different_numbers_of_rows_without_saying_so() -> None:
    with pytest.raises(CommError, match="all_gather"):
        run(2, lambda comm: all_gather(comm, X[comm.rank:], label="test"))
    with pytest.raises(CommError, match="expects"):
        run(2, lambda comm: all_gather(comm, X[comm.rank:], label="test"), checked=False)


def test_ranks_that_disagree_are_told() -> None:
    """The engine's Checking compares what `entering` says: operation, count, dtype, root, algorithm,
    counts.
    """
    for body, text in [
        (lambda c: all_reduce(c, X, ("sum", "max")[c.rank], label="w"), "operation: rank 0: all_reduce sum"),
        (lambda c: all_reduce(c, X[c.rank:], label="w"), "number of elements: rank 0: all_reduce"),
        (lambda c: all_reduce(c, np.ones(1 << (20 * c.rank)), label="w"),
         "number of elements: rank 0: all_reduce"),
        (lambda c: all_reduce(c, X.astype(("f4", "f8")[c.rank]), label="w"), "dtype: rank 0: all_reduce"),
        (lambda c: broadcast(c, X, root=np.int64(c.rank), label="w"),
         "root: rank 0: broadcast of .* with root 0 'w'"),
        (lambda c: (broadcast(c, X, label="w") if c.rank else all_reduce(c, X, label="w")),
         "operation: rank 0: all_reduce"),
        # would end in wrong sums
        (lambda c: all_reduce(c, X, label="w", algorithm=("tree", "recursive_doubling")[c.rank]),
         "algorithm: rank 0: all_reduce sum of .* by tree 'w' .*; rank 1: .* by recursive_doubling 'w'"),
        (lambda c: reduce_scatter(c, X, counts=([1, 3], [3, 1])[c.rank], label="w"),
         r"counts: .* with counts \[1, 3\] 'w'"),
    ]:
        with pytest.raises(CommError, match=f"the ranks of world do not agree on {text}"):
            run(2, body)
    run(2, lambda c: broadcast(c, X, root=np.int64(0) if c.rank else 0, label="w"))  # the same root


def test_shared_memory_needs_one_node() -> None:
    with pytest.raises(CommError, match="node"):
        run(2, lambda comm: shared_array(comm, 3, np.float64, label="test"), nodes=[0, 1])


def test_an_array_computed_from_a_shared_one_is_not_shared() -> None:
    """It still remembers the memory, but its address lies elsewhere; so it passes through the stage and comes
    out right.
    """
    def body(comm: Communicator) -> np.ndarray:
        array = shared_array(comm, 5, np.float64, label="test")
        array[:] = comm.rank + 1
        return all_reduce(comm, array * 2, label="test", algorithm="shared")

    for total in run(3, body):
        assert np.array_equal(total, np.full(5, 12.0))


@pytest.mark.parametrize("views", [(slice(0, 4), slice(1, 5)), (slice(4, 8), slice(0, 4))])
def test_ranks_that_share_different_views(views: tuple[slice, slice]) -> None:
    """Of the same length, so that nothing else could notice it."""
    def body(comm: Communicator) -> None:
        view = shared_array(comm, 8, np.float64, label="test")[views[comm.rank]]
        all_reduce(comm, view, label="test", out=view, algorithm="shared")

    with pytest.raises(CommError, match="works at byte .* of a shared array, but on rank . at byte"):
        run(2, body)


def test_ranks_that_share_different_arrays() -> None:
    def body(comm: Communicator) -> None:
        arrays = [shared_array(comm, 8, np.float64, label="test") for _ in range(2)]
        all_reduce(comm, arrays[comm.rank], label="test", out=arrays[comm.rank], algorithm="shared")

    with pytest.raises(CommError, match="but on rank . in another one"):
        run(2, body)


def test_inputs_need_not_be_contiguous() -> None:
    def body(comm: Communicator) -> np.ndarray:
        return all_reduce(comm, X.T * (comm.rank + 1),
                          label="test") + all_reduce(comm, X[::2].T, label="test")[:, :1]

    for total in run(3, body):
        assert np.array_equal(total, np.full((3, 4), 9.0))
