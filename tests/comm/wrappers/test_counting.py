"""Counting: every message once, under the right name."""

import numpy as np

from minipar.comm.collectives.reductions import all_reduce
from minipar.comm.protocol import Communicator
from minipar.comm.wrappers.counting import Counting, Key, MessageTally, Traffic
from tests.ranks import ranks


@ranks(1, 2, 3, 5)
def test_a_collective_is_booked_under_its_own_name_and_why(comm: Communicator) -> None:
    comm = Counting(comm)
    p = comm.size
    all_reduce(comm, np.ones(4 * p, np.float32), label="gradients", algorithm="ring")
    comm.barrier(label="end")
    rounds = (p - 1).bit_length()
    assert comm.traffic.by("label", "op", "group") == {
        ("gradients", "all_reduce sum", "world"): MessageTally(1, 2 * (p - 1), 2 * (p - 1) * 16),
        ("end", "barrier", "world"): MessageTally(1, rounds, 0)}


@ranks(2, 3)
def test_a_message_of_the_program_is_a_call_of_its_own(comm: Communicator) -> None:
    comm = Counting(comm)
    right, left = (comm.rank + 1) % comm.size, (comm.rank - 1) % comm.size
    for _ in range(3):
        comm.sendrecv(np.zeros(5), right, np.empty(5), left, label="pipeline forward")
    assert comm.traffic.tallies == {Key("pipeline forward", "send", "world", comm.rank,
                                        right): MessageTally(3, 3, 120)}


@ranks(4)
def test_groups_share_the_book_and_setting_them_up_is_not_in_it(comm: Communicator) -> None:
    comm = Counting(comm)
    pair = comm.split(comm.rank // 2, label="tensor parallel")
    assert isinstance(pair, Counting) and comm.traffic == Traffic()
    all_reduce(pair, np.ones(3), label="activations", algorithm="recursive_doubling")
    peer = comm.rank ^ 1  # a world rank, although the pair calls it 0 or 1
    assert comm.traffic.total() == MessageTally(1, 1, 24)
    assert Key("activations", "all_reduce sum", "tensor parallel", comm.rank, peer) in comm.traffic.tallies


@ranks(4)
def test_traffic_between_nodes(comm: Communicator) -> None:
    comm = Counting(comm)
    if comm.rank == 0:
        for dest in (1, 2, 3):
            comm.send(np.zeros(dest, np.uint8), dest, label="spread")
    else:
        comm.recv(np.empty(comm.rank, np.uint8), 0, label="spread")
    expected = {(0, 0): MessageTally(1, 1, 1), (0, 1): MessageTally(2, 2, 5)} if comm.rank == 0 else {}
    assert comm.traffic.between((0, 0, 1, 1)) == expected


def book(nbytes: int, dest: int = 1) -> Traffic:
    return Traffic([(Key("gradients", "all_reduce sum", "world", 0, dest), MessageTally(1, 2, nbytes))])


def test_books_add_up_and_differ_where_one_byte_differs() -> None:
    assert book(8) + book(4) == Traffic([*book(8),
                                         *book(4)]) and (book(8) + book(4)).total() == MessageTally(2, 4, 12)
    assert book(8) != book(9) and book(8) != book(8, dest=2) and book(8) != Traffic()
    one = book(8)
    assert one + book(4) != one and one == book(8)                  # adding changes neither


def test_the_table_names_what_it_counts() -> None:
    table = (book(12345) + Traffic([(Key("loss", "send", "pipeline", 0, 1), MessageTally(1, 1, 8))])).table()
    assert table == ("label      op              group     calls  messages   bytes\n"
                     "gradients  all_reduce sum  world         1         2  12,345\n"
                     "loss       send            pipeline      1         1       8")
