"""Groups that the ranks create differently, and a length that is too large to be meant."""

import numpy as np

from minipar.comm.protocol import FINISH_TAG, Communicator, exchange, exchange_texts
from tests.comm.planted.table import planted


@planted(3, "the partner has left, rank 2", "rank 2 has finished", "is in subgroup 'half' at groups.py:")
def subgroup_without_one_rank(comm: Communicator) -> None:
    """A rank that will be in no group does not call `subgroup`."""
    if comm.rank < 2:
        comm.subgroup([0, 1], label="half")


@planted(2, "subgroup 'half'", "do not agree on the members: rank 0: [0, 1]; rank 1: [1, 0]")
def subgroup_with_another_order(comm: Communicator) -> None:
    """The ranks give the members of a group in different orders."""
    comm.subgroup([comm.rank, 1 - comm.rank] if comm.rank else [0, 1], label="half")


@planted(3, "do not agree on the members: rank 0: [0, 1]; rank 1: [1, 2]; rank 2: [1, 2]")
def subgroup_with_groups_that_overlap(comm: Communicator) -> None:
    """A rank is in two groups of one call."""
    comm.subgroup([0, 1] if comm.rank == 0 else [1, 2], label="pairs")


@planted(2, "names [0, 0]", "each once")
def subgroup_with_one_rank_twice(comm: Communicator) -> None:
    """A group contains one rank twice."""
    comm.subgroup([0, 0] if comm.rank == 0 else [], label="pairs")


@planted(2, "do not agree on operation", "subgroup 'half' at groups.py:", "barrier 'half' at groups.py:")
def subgroup_against_a_barrier(comm: Communicator) -> None:
    """One rank creates a group, the other is in a barrier."""
    if comm.rank:
        comm.barrier(label="half")
    comm.subgroup([0, 1], label="half")


@planted(2, "rank 1 announces a text of 1000000000000 bytes")
def exchange_of_a_length_that_cannot_be(comm: Communicator) -> None:
    """A rank announces a text of 1 TB."""
    if comm.rank == 1:
        exchange(comm, np.array([10**12]), label="accounts", tag=FINISH_TAG)
    exchange_texts(comm, "", label="accounts", tag=FINISH_TAG)


@planted(3, "a cycle of waiting 1 -> 2 -> 1", "rank 0 waits in send(dest=1) 'f", synchronous=True)
def plain_sends_in_1f1b(comm: Communicator) -> None:
    """1F1B with blocking sends: two stages send to each other and wait."""
    array, last = np.ones(4), comm.size - 1
    for batch in range(8):
        if comm.rank:
            comm.recv(np.empty(4), comm.rank - 1, label=f"f{batch}")
        if comm.rank < last:
            comm.send(array, comm.rank + 1, label=f"f{batch}")
        if comm.rank and batch >= last - comm.rank:
            comm.send(array, comm.rank - 1, label=f"b{batch}")
