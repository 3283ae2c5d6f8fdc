"""Wrong arguments: the error is one line with the given value and the next step."""

from collections.abc import Callable

import numpy as np
import pytest

from minipar.comm import room
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
from minipar.comm.collectives.channel import Handle, finish
from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.errors import CommError
from tests.ranks import ranks
from tests.refusals import refused

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
     "all_reduce at test_arguments.py:.* has no algorithm 'rings'; choose auto, by_size, naive, tree"),
    (lambda c: broadcast(c, X, label="w", algorithm="shared"),
     "broadcast at test_arguments.py:.* has no algorithm 'shared'"),
    (lambda c: all_reduce(c, X.tolist(), label="w"), "needs a NumPy array, not list"),  # type: ignore[arg-type]

    (lambda c: all_reduce(None, X, label="w"),
     "all_reduce 'w' at test_arguments.py:.* needs a communicator, not None"),
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
     "algorithm='native': it is the MPI library's own"),
    (lambda c: all_reduce(c, X.astype(complex), label="w"), "cannot carry dtype complex128"),
    (lambda c: broadcast(c, X, root=2, label="w"), "names root 2, but the group has ranks 0 to 1"),
    (lambda c: reduce(c, X, root=-1, label="w"), "names root -1"),
    (lambda c: broadcast(c, X, root=c.size / 2, label="w"), "names root 1.0, but the group has ranks 0 to 1"),  # type: ignore[arg-type]

    (lambda c: reduce_scatter(c, X, counts=[2, 3], label="w"), r"has 4 rows, but counts=\[2, 3\] are 5"),
    (lambda c: reduce_scatter(c, X, counts=[4], label="w"), "needs one count of rows per rank"),
    (lambda c: scatter(c, X, counts=[5, -1], label="w"),
     "needs one count of rows per rank, whole numbers, none below 0"),
    (lambda c: all_gather(c, X, counts=[1, 2], label="w"),
     r"has 4 rows, but counts=\[1, 2\] has [12] for this rank"),
    (lambda c: gather(c, np.array(1.0), label="w"), "a scalar has none"),
    (lambda c: all_to_all(c, X[:3], label="w"),
     "cannot divide 3 rows into 2 equal blocks; give send_counts and receive_counts"),
    (lambda c: all_to_all(c, X, send_counts=[1, 3], label="w"),
     "needs send_counts and receive_counts, or neither"),
    (lambda c: all_to_all(c, X, send_counts=[1, 3], receive_counts=[[1, 1], [3, 3]][c.rank], label="w",
                          algorithm="bruck"),
     "by bruck needs blocks of one size"),
    (lambda c: all_reduce(c, X, 3), "has no reduction '3'"),  # type: ignore[arg-type]
    (lambda c: all_reduce(c, X, ["sum"]), "has no reduction"),  # type: ignore[arg-type]
    (lambda c: all_reduce(c, X, algorithm=None), "has no algorithm 'None'"),
    (lambda c: all_reduce(c, X, algorithm=["ring"]), "has no algorithm"),  # type: ignore[arg-type]
    (lambda c: all_reduce(c, X, label=3), "a label is a short text, not int"),  # type: ignore[arg-type]
    (lambda c: all_gather(c, X, counts=3), "one count of rows per rank, whole numbers"),  # type: ignore[arg-type]
    (lambda c: all_gather(c, X, counts=[4.0, 4.0]), "one count of rows per rank, whole numbers"),  # type: ignore[list-item]
    (lambda c: all_gather(c, X, counts="44"), "one count of rows per rank"),  # type: ignore[arg-type]
    (lambda c: all_to_all(c, X, send_counts=2, receive_counts=2), "one count of rows"),  # type: ignore[arg-type]
    (lambda c: broadcast(c, X, root=None), "names root None"),
    (lambda c: broadcast(c, X, out=3), "does not fit into out: int"),  # type: ignore[arg-type]
    (lambda c: c.recv(0), "an array to receive into and the rank that sends it: recv.*, not 0 alone"),  # type: ignore[arg-type]
    (lambda c: c.irecv(0), "an array to receive into and the rank that sends it"),  # type: ignore[arg-type, call-arg]
    (lambda c: c.recv(X), r"recv\(np.empty\(...\), source\); the rank is missing"),
    (lambda c: c.send(X),
     r"the array to send and the rank to send it to: send\(array, dest\); the rank is missing"),
    (lambda c: c.isend(X), "the array to send and the rank to send it to"),  # type: ignore[call-arg]
    (lambda c: c.sendrecv(X, 1), "an array to receive into and the rank that sends it"),
    (lambda c: c.recv(0, 0), "needs a NumPy array, not int"),  # type: ignore[arg-type]
    (lambda c: c.send(X, 0, tag="a"), "has tag 'a'; use 0 to"),  # type: ignore[arg-type]
    (lambda c: c.send(X, 0, tag=2.0), "has tag 2.0; use 0 to"),  # type: ignore[arg-type]
    (lambda c: c.send(X, "0"), "names rank '0'"),  # type: ignore[arg-type]
    (lambda c: c.wait(None), "wait at .* needs a request, which isend or irecv returns, not None"),
    (lambda c: c.test([c]), "test at .* needs a request"),  # type: ignore[arg-type]
    (lambda c: c.split("a"), "has color 'a', which is not a 64-bit integer"),  # type: ignore[arg-type]
    (lambda c: c.split(0, key=None), "has key None, which is not a 64-bit integer"),
    (lambda c: c.subgroup(3), "subgroup at .* needs a list of ranks, not 3"),  # type: ignore[arg-type]
    (lambda c: c.subgroup(["a"]), "subgroup at .* names \\['a'\\]"),  # type: ignore[list-item]
    (lambda c: c.shared("a"), "shared at .* needs a number of bytes, not 'a'"),  # type: ignore[arg-type]
    (lambda c: c.shared(-1), "shared at .* needs a number of bytes, not -1"),
    (lambda c: c.barrier(label=3), "a label is a short text"),  # type: ignore[arg-type]
    (lambda c: finish(c, None), "finish at .* needs the steps of an algorithm, not None: .* with `yield`"),
    (lambda c: finish(c, X), "needs the steps of an algorithm"),  # type: ignore[arg-type]
    (lambda c: finish(c, (step for step in [None])), "the algorithm yields None"),
    (lambda c: Handle(c, "w", None, X, X), "needs the steps of an algorithm"),
    (lambda c: shared_array(c, 2.5, "f8"), "needs a shape and a dtype"),  # type: ignore[arg-type]
    (lambda c: shared_array(c, "ab", "f8"), "needs a shape and a dtype"),  # type: ignore[arg-type]
    (lambda c: shared_array(c, 3, "nope"), "needs a shape and a dtype"),
    (lambda c: shared_array(c, 3, complex), "cannot carry dtype complex128"),
    (lambda c: shared_array(c, (2, -1), "f8"), r"has shape \(2, -1\), with a length below 0"),
    (lambda c: shared_array(c, 10**16, "f8"), "needs 160,000,000,000,008,192 bytes for all ranks"),
    (lambda c: shared_array(c, (10**10,) * 3, "f8"),
     "needs 16,000,000,000,000,000,000,000,000,008,192 bytes"),
]


@pytest.mark.parametrize(("call", "text"), WRONG, ids=[text[:40] for _, text in WRONG])
def test_what_is_wrong_is_said(call: Callable[[Communicator], object], text: str) -> None:
    with pytest.raises(CommError, match=text) as caught:
        run(2, call)
    assert "\n" not in str(caught.value) and " at test_arguments.py:" in str(caught.value)


def test_ranks_that_bring_different_numbers_of_rows_without_saying_so() -> None:
    with refused(CommError, kind="disagreement"):
        run(2, lambda comm: all_gather(comm, X[comm.rank:], label="test"))
    with refused(CommError, kind="other message"):
        run(2, lambda comm: all_gather(comm, X[comm.rank:], label="test"), checked=False)


def test_ranks_that_disagree_are_told() -> None:
    """The engine's Checking compares what `entering` says: operation, count, dtype, root, algorithm,
    counts.
    """
    for body, item, words in [
        (lambda c: all_reduce(c, X, ("sum", "max")[c.rank], label="w"), "operation",
         ["rank 0: all_reduce sum"]),
        (lambda c: all_reduce(c, X[c.rank:], label="w"), "number of elements", []),
        (lambda c: all_reduce(c, np.ones(1 << (20 * c.rank)), label="w"), "number of elements", []),
        (lambda c: all_reduce(c, X.astype(("f4", "f8")[c.rank]), label="w"), "dtype", []),
        (lambda c: broadcast(c, X, root=np.int64(c.rank), label="w"), "root",
         ["with root 0 'w'", "with root 1"]),
        (lambda c: (broadcast(c, X, label="w") if c.rank else all_reduce(c, X, label="w")), "operation", []),
        # would end in wrong sums
        (lambda c: all_reduce(c, X, label="w", algorithm=("tree", "recursive_doubling")[c.rank]),
         "algorithm", ["by tree 'w'", "by recursive_doubling 'w'"]),
        (lambda c: reduce_scatter(c, X, counts=([1, 3], [3, 1])[c.rank], label="w"),
         "counts", ["with counts [1, 3] 'w'"]),
    ]:
        with refused(CommError, "ranks of world", *words, kind="disagreement", items=(item,)):
            run(2, body)
    run(2, lambda c: broadcast(c, X, root=np.int64(0) if c.rank else 0, label="w"))  # the same root


def test_shared_memory_needs_one_node() -> None:
    with refused(CommError, operation="shared", item="nodes"):
        run(2, lambda comm: shared_array(comm, 3, np.float64, label="test"), nodes=[0, 1])


def test_an_array_computed_from_a_shared_one_is_not_shared() -> None:
    """It still refers to the shared memory, but its address is elsewhere; so it is copied through the staging
    buffer, and the result is right.
    """
    def body(comm: Communicator) -> np.ndarray:
        array = shared_array(comm, 5, np.float64, label="test")
        array[:] = comm.rank + 1
        return all_reduce(comm, array * 2, label="test", algorithm="shared")

    for total in run(3, body):
        assert np.array_equal(total, np.full(5, 12.0))


@pytest.mark.parametrize("views", [(slice(0, 4), slice(1, 5)), (slice(4, 8), slice(0, 4))])
def test_ranks_that_share_different_views(views: tuple[slice, slice]) -> None:
    """The views have the same length, so no other check detects this."""
    def body(comm: Communicator) -> None:
        view = shared_array(comm, 8, np.float64, label="test")[views[comm.rank]]
        all_reduce(comm, view, label="test", out=view, algorithm="shared")

    with pytest.raises(CommError, match="works at byte .* of a shared array, but on rank . at byte"):
        run(2, body)


def test_ranks_that_share_different_arrays() -> None:
    def body(comm: Communicator) -> None:
        arrays = [shared_array(comm, 8, np.float64, label="test") for _ in range(2)]
        all_reduce(comm, arrays[comm.rank], label="test", out=arrays[comm.rank], algorithm="shared")

    with refused(CommError, operation="all_reduce", label="test", item="array"):
        run(2, body)


def test_inputs_need_not_be_contiguous() -> None:
    def body(comm: Communicator) -> np.ndarray:
        return all_reduce(comm, X.T * (comm.rank + 1),
                          label="test") + all_reduce(comm, X[::2].T, label="test")[:, :1]

    for total in run(3, body):
        assert np.array_equal(total, np.full((3, 4), 9.0))


@ranks(3, engines=["mpi"])
def test_shared_memory_larger_than_what_is_free(comm: Communicator) -> None:
    """Else the system ends the process with SIGBUS. Only one rank sees that little."""
    really = room.free_bytes
    room.free_bytes = lambda: 50_000 if comm.rank == 1 else really()
    try:
        assert shared_array(comm, 100, "f8", label="fits").shape == (100,)
        for shape in (5000, (10**10, 10**10)):
            with pytest.raises(CommError, match="'large' at test_arguments.py:.*50,000 free"):
                shared_array(comm, shape, "f8", label="large")
    finally:
        room.free_bytes = really
    comm.barrier()
