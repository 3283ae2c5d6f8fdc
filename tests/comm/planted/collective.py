"""Collectives that differ between the ranks: operation, count, dtype, root, order, or a missing call."""

import numpy as np

from minipar.comm import collectives as c
from minipar.comm.protocol import Communicator
from tests.comm.planted.table import planted

HERE = "collective.py:"


def ones(count: int, dtype: str = "f8") -> np.ndarray:
    return np.ones(count, dtype)


@planted(2, "do not agree on operation", "rank 0: all_reduce sum of (4,) float64 'loss' at collective.py:",
         "rank 1: broadcast")
def op_all_reduce_against_broadcast(comm: Communicator) -> None:
    """One rank calls broadcast, the other all_reduce."""
    if comm.rank == 0:
        c.all_reduce(comm, ones(4), label="loss")
    else:
        c.broadcast(comm, ones(4), root=0, label="loss")


@planted(3, "do not agree on operation", "ranks 0, 1: all_reduce sum", "rank 2: all_reduce max", HERE)
def op_sum_against_max(comm: Communicator) -> None:
    """One of three ranks reduces with max, the others with sum."""
    c.all_reduce(comm, ones(4), "max" if comm.rank == 2 else "sum", label="norm")


@planted(3, "do not agree on operation", "reduce sum of (4,) float64 with root 0 'loss'", "all_reduce sum",
         HERE)
def op_reduce_against_all_reduce(comm: Communicator) -> None:
    """Rank 0 calls reduce, the others all_reduce."""
    if comm.rank == 0:
        c.reduce(comm, ones(4), root=0, label="loss")
    else:
        c.all_reduce(comm, ones(4), label="loss")


@planted(2, "do not agree on operation", "all_gather", "reduce_scatter sum", HERE)
def op_gather_against_scatter(comm: Communicator) -> None:
    """One rank calls all_gather (forward), the other reduce_scatter (backward)."""
    if comm.rank == 0:
        c.all_gather(comm, ones(4), label="sequence")
    else:
        c.reduce_scatter(comm, ones(4), label="sequence")


@planted(3, "do not agree on operation", "rank 1: barrier 'epoch' at collective.py:", "all_reduce")
def op_barrier_against_all_reduce(comm: Communicator) -> None:
    """One rank is in a barrier, the others all-reduce."""
    if comm.rank == 1:
        comm.barrier(label="epoch")
    else:
        c.all_reduce(comm, ones(4), label="epoch")


@planted(2, "do not agree on number of elements", "rank 0: all_reduce sum of (4,)",
         "rank 1: all_reduce sum of (6,)", HERE)
def count_all_reduce(comm: Communicator) -> None:
    """All-reduce of arrays of different lengths."""
    c.all_reduce(comm, ones(4 + 2 * comm.rank), label="gradients")


@planted(5, "do not agree on number of elements", "ranks 0, 1, 2, 4: all_reduce sum of (10, 3)",
         "rank 3: all_reduce sum of (9, 3)")
def count_on_one_of_five(comm: Communicator) -> None:
    """The last batch on one of five ranks has one row less."""
    c.all_reduce(comm, np.ones((9 if comm.rank == 3 else 10, 3)), label="activations")


@planted(3, "do not agree on number of elements", "rank 0: broadcast of (8,)",
         "ranks 1, 2: broadcast of (4,)", HERE)
def count_broadcast(comm: Communicator) -> None:
    """The receivers of a broadcast have arrays of a different length than the root's."""
    c.broadcast(comm, ones(8 if comm.rank == 0 else 4), root=0, label="weights")


@planted(2, "do not agree on dtype", "float32", "float64", HERE)
def dtype_single_against_double(comm: Communicator) -> None:
    """One rank has its gradients in float32, the other in float64."""
    c.all_reduce(comm, ones(4, "f4" if comm.rank == 0 else "f8"), label="gradients")


@planted(3, "do not agree on dtype", "rank 1: all_reduce sum of (1,) int64 'tokens'", "ranks 0, 2", HERE)
def dtype_counting_in_integers(comm: Communicator) -> None:
    """One rank counts tokens in integers, the others in floats."""
    c.all_reduce(comm, ones(1, "i8" if comm.rank == 1 else "f8"), label="tokens")


@planted(3, "do not agree on root", "with root 0", "with root 2", HERE)
def root_broadcast(comm: Communicator) -> None:
    """The ranks call broadcast with different roots."""
    c.broadcast(comm, ones(4), root=2 if comm.rank == 2 else 0, label="weights")


@planted(2, "do not agree on root", "rank 0: reduce sum of (4,) float64 with root 0",
         "rank 1: reduce sum of (4,) float64 with root 1", HERE)
def root_reduce_to_myself(comm: Communicator) -> None:
    """Each rank calls reduce with itself as the root."""
    c.reduce(comm, ones(4), root=comm.rank, label="loss")


@planted(2, "do not agree on order of calls (label)", "'weights'", "'biases'", HERE)
def order_swapped(comm: Communicator) -> None:
    """Two all-reduces of equal size in different orders: plain MPI adds weights to biases."""
    for name in ["weights", "biases"] if comm.rank == 0 else ["biases", "weights"]:
        c.all_reduce(comm, ones(4), label=name)


@planted(3, "do not agree on operation", "'first'", "'second'", HERE)
def order_broadcast_before_reduce(comm: Communicator) -> None:
    """One rank calls broadcast, then reduce; the others reduce, then broadcast."""
    calls = [lambda: c.reduce(comm, ones(4), root=0, label="first"),
             lambda: c.broadcast(comm, ones(4), root=0, label="second")]
    for call in calls if comm.rank != 1 else calls[::-1]:
        call()


@planted(4, "a cycle of waiting",
         "is in all_reduce 'tp' of group 'rows' at collective.py:",
         "is in all_reduce 'dp' of group 'columns' at")
def order_of_groups(comm: Communicator) -> None:
    """A 2 x 2 grid: some ranks reduce first over their row, the others over their column."""
    rows, columns = comm.split(comm.rank // 2, label="rows"), comm.split(comm.rank % 2, label="columns")
    assert rows is not None and columns is not None
    calls = [lambda: c.all_reduce(rows, ones(2), label="tp"),
             lambda: c.all_reduce(columns, ones(2), label="dp")]
    for call in calls if comm.rank in (0, 3) else calls[::-1]:
        call()


@planted(3, "rank 0 is in all_reduce 'loss' at collective.py:",
         "rank 1 is in all_reduce 'loss' of group 'pairs' at collective.py:")
def group_too_large(comm: Communicator) -> None:
    """One rank reduces over the world, the others over their group."""
    pair = comm.split(comm.rank // 2, label="pairs")
    assert pair is not None
    c.all_reduce(comm if comm.rank == 0 else pair, ones(2), label="loss")


@planted(3, "the partner has left", "rank 0 is in all_reduce 'loss' at collective.py:", "has finished")
def missing_in_rank_zero_only(comm: Communicator) -> None:
    """A collective inside `if rank == 0`."""
    if comm.rank == 0:
        c.all_reduce(comm, ones(1), label="loss")


@planted(2, "a cycle of waiting 0 -> 1 -> 0", "rank 0 is in barrier 'checkpoint' at collective.py:",
         "rank 1 waits in recv(source=0) 'weights' at collective.py:")
def missing_in_a_receive(comm: Communicator) -> None:
    """One rank is in a barrier, the other waits for a message from it."""
    if comm.rank == 0:
        comm.barrier(label="checkpoint")
    else:
        comm.recv(ones(4), 0, label="weights")


@planted(3, "rank 1 has finished", "all_reduce 'gradients' at collective.py:")
def missing_in_the_last_step(comm: Communicator) -> None:
    """One rank has one batch less than the others."""
    for _ in range(2 if comm.rank == 1 else 3):
        c.all_reduce(comm, ones(4), label="gradients")


@planted(2, "rank 0 has finished", "rank 1 is in all_reduce 'clip' at collective.py:")
def missing_behind_a_condition(comm: Communicator) -> None:
    """A collective inside an `if` that depends on this rank's data."""
    norm = float(comm.rank)
    if norm > 0.5:
        c.all_reduce(comm, ones(1), label="clip")


@planted(3, "rank 2 has finished", "is in split 'pairs' at collective.py:")
def missing_in_split(comm: Communicator) -> None:
    """A rank that will be in no group does not call `split`."""
    if comm.rank < 2:
        comm.split(0, label="pairs")


@planted(3, "do not agree on order of calls (label)", "'gradients' at collective.py:",
         "'loss' at collective.py:")
def missing_one_of_two(comm: Communicator) -> None:
    """One rank skips the first of two equal collectives."""
    if comm.rank != 1:
        c.all_reduce(comm, ones(1), label="gradients")
    c.all_reduce(comm, ones(1), label="loss")
