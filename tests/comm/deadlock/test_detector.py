"""A rank that waits under MPI raises a deadlock as soon as it is certain, and not before."""

import os
import tempfile
from collections.abc import Iterator

import numpy as np
import pytest

from minipar.comm.deadlock.board import Board, Process, board_bytes
from minipar.comm.deadlock.detector import GRACE, LOOKS, BoardLookout
from minipar.comm.deadlock.wait_graph import State
from minipar.comm.protocol import Communicator, Request
from minipar.comm.threads import ThreadComm, World
from minipar.errors import CommError
from tests.refusals import refused

WAITS_FOR_0 = State("waiting", 0, "", "recv", 0, "recv", "forward", "train.py:88")
MISFIT = CommError("float32 came")
RECEIVE = Request("recv", 1, 0, np.empty(1), "backward")
LONG = 5.0                                                          # the limit


@pytest.fixture
def board() -> Iterator[Board]:
    """Of two ranks of this node, both this process."""
    with tempfile.TemporaryFile() as file:
        os.ftruncate(file.fileno(), board_bytes(2))
        board = Board(file.fileno(), 2, {0: 0, 1: 1})
        board.sign_in(1, Process(os.getpid(), 0, 0))
        yield board


@pytest.fixture
def lookout(board: Board) -> BoardLookout:
    return BoardLookout(LONG, board, 0)


@pytest.fixture
def comm() -> Communicator:
    return ThreadComm(World(2), rank=0)


def looks(lookout: BoardLookout, comm: Communicator, until: float, *, start: float = 0.0,
          misfit: CommError | None = None, other_looks: bool = True) -> None:
    """What happens within so many seconds of waiting, a look every 0.05 s."""
    for step in range(int((until - start) / 0.05)):
        lookout.look(comm, RECEIVE, start + 0.05 * step, "", misfit)
        if other_looks:
            lookout.board.looked(1)


def test_a_partner_that_computes_is_waited_for_until_the_limit(lookout: BoardLookout,
                                                               comm: Communicator) -> None:
    looks(lookout, comm, LONG)
    with pytest.raises(CommError, match=r"timed out after 5 s: .*'backward'.*MINIPAR_TIMEOUT=600"):
        looks(lookout, comm, LONG + 1, start=LONG)


def test_a_cycle_is_told_once_all_have_looked_in_vain(lookout: BoardLookout, comm: Communicator,
                                                      board: Board) -> None:
    board.write(1, WAITS_FOR_0)
    looks(lookout, comm, GRACE - 0.01)
    with refused(CommError, "rank 0 of 2", "0 -> 1 -> 0", kind="deadlock", cycle=(0, 1)):
        looks(lookout, comm, 2 * GRACE + 0.1, start=GRACE)


def test_a_rank_that_has_not_looked_may_have_its_message_already(lookout: BoardLookout, comm: Communicator,
                                                                 board: Board) -> None:
    board.write(1, WAITS_FOR_0)
    looks(lookout, comm, LONG, other_looks=False)
    board.looked(1, times=LOOKS)
    with refused(CommError, kind="deadlock", cycle=(0, 1)):
        lookout.look(comm, RECEIVE, LONG - 0.01, "", None)


def test_a_partner_that_waits_anew_is_given_time_anew(lookout: BoardLookout, comm: Communicator,
                                                      board: Board) -> None:
    for wait in range(5):
        board.write(1, WAITS_FOR_0)
        looks(lookout, comm, (wait + 1) * GRACE, start=wait * GRACE)


def test_a_partner_that_has_finished_is_not_waited_for(lookout: BoardLookout, comm: Communicator,
                                                       board: Board) -> None:
    board.write(1, State("finished"))
    with refused(CommError, "rank 1 has finished", kind="deadlock", cycle=()):
        looks(lookout, comm, 1.0)


def test_another_dtype_counts_once_its_sender_sends_no_more(lookout: BoardLookout, comm: Communicator,
                                                            board: Board) -> None:
    looks(lookout, comm, 1.0, misfit=MISFIT)  # it computes: the right message may still be on its way
    board.write(1, State("waiting", 0, "", "send", 0, "send", "forward", "train.py:88"))
    with pytest.raises(CommError) as caught:
        looks(lookout, comm, 1.1, start=1.0, misfit=MISFIT)
    assert caught.value is MISFIT


def test_another_dtype_is_the_reason_given_at_the_limit(lookout: BoardLookout, comm: Communicator) -> None:
    with pytest.raises(CommError) as caught:
        looks(lookout, comm, LONG + 1, misfit=MISFIT)
    assert caught.value is MISFIT


def test_a_rank_that_has_finished_waits_on_for_ranks_that_work(lookout: BoardLookout, comm: Communicator,
                                                               board: Board) -> None:
    lookout.leave("finished")
    looks(lookout, comm, 3 * LONG)
    board.sign_in(1, Process(2**22 - 1, 0, 0))                      # no such process
    with pytest.raises(CommError, match="rank 0 has finished.*rank 1 is gone"):
        looks(lookout, comm, 1.0)


def test_the_notice_is_taken_down_when_the_wait_is_over(lookout: BoardLookout, comm: Communicator,
                                                        board: Board) -> None:
    lookout.look(comm, RECEIVE, 0.1, "a message came with tag 4", None)
    state = board.read(0).state
    assert (state.doing, state.peer, state.label, state.detail) == ("waiting", 1, "backward",
                                                                    "a message came with tag 4")
    lookout.resume()
    assert board.read(0).state == State("running")
