"""A loop of `test` calls counts as waiting; a computation with `test` calls does not. The wrong programs are
in planted/polling.py.
"""

import sys
import time
from collections.abc import Callable

import numpy as np
import pytest

from minipar.comm.deadlock import polling
from minipar.comm.deadlock.polling import FEWEST, LONGEST, MOST, SURE, TENTH, Polling
from minipar.comm.deadlock.wait_graph import State, say, stuck
from minipar.comm.protocol import Communicator, Request
from minipar.comm.solo import solo
from minipar.comm.threads import run
from minipar.errors import CommError
from tests.ranks import mpirun, ranks
from tests.refusals import refused


class Clocks:
    """Time that a test sets: the wall's, and the CPU time that the program has used."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0

    def monotonic(self) -> float:
        return self.wall

    def thread_time(self) -> float:
        return self.cpu


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    clocks = Clocks()
    monkeypatch.setattr(polling, "time", clocks)
    return clocks


def fail(polls: Polling, clocks: Clocks, tests: int, wall: float, cpu: float) -> None:
    """So many failed tests, with so much time and CPU time before each."""
    request, comm = Request("recv", 0, 0, np.empty(1), "news"), solo()
    for _ in range(tests):
        clocks.wall, clocks.cpu = clocks.wall + wall, clocks.cpu + cpu
        polls.failed(comm, request)


@pytest.mark.parametrize("wall, cpu, counts", [
    (1e-6, 1e-6, 1.0),                                              # it spins
    (2e-3, 2e-6, 1.0),  # it spins on a loaded machine, or sleeps a little
    (0.1, 1e-5, 1.0),                                               # it sleeps
    (0.1, 0.05, TENTH),                                             # it computes, and other processes, too
    (2e-3, 1e-3, TENTH),
])
def test_what_counts_as_waiting(clocks: Clocks, wall: float, cpu: float, counts: float) -> None:
    polls, tests = Polling(), int(2 / wall) + 1
    fail(polls, clocks, tests, wall, cpu)
    assert polls.waited == pytest.approx(2 * counts, rel=0.01)
    assert polls.sure(30.0) == (counts == 1.0)
    assert polls.beyond(1.5) == (counts == 1.0) and not polls.beyond(2.5)


def test_computing_never_adds_up_to_a_deadlock(clocks: Clocks) -> None:
    """On a loaded machine, each computation takes much longer than its CPU time."""
    polls = Polling()
    fail(polls, clocks, 1000, 0.1, 4e-3)
    assert polls.beyond(9.0) and not polls.sure(30.0)


def test_a_long_absence_counts_little_and_few_tests_prove_nothing(clocks: Clocks) -> None:
    polls = Polling()
    fail(polls, clocks, FEWEST - 1, 100.0, 0.0)
    assert polls.waited <= FEWEST * LONGEST and not polls.beyond(0.1)
    fail(polls, clocks, 1, 0.01, 0.0)
    assert polls.beyond(0.1) and polls.sure(30.0)
    clocks.wall += 3 * LONGEST
    assert not polls.sure(30.0), "a rank that has not tested for a while may be about to send"
    polls.stop()
    assert not polls and not polls.beyond(0.1)


def test_many_partners_are_never_surely_stuck(clocks: Clocks) -> None:
    polls, comm = Polling(), solo()
    for _ in range(MOST + 1):
        clocks.wall += 0.1
        polls.failed(comm, Request("recv", 0, 0, np.empty(1), "news"))
    assert polls.beyond(SURE) and not polls.sure(30.0)


def test_a_rank_that_would_take_any_of_several_messages_is_stuck_with_all_of_them() -> None:
    any_of = State("waiting", 1, "", "recv", 0, "test", "news", "train.py:88", others=(2,))
    back = State("waiting", 0, "", "recv", 0, "recv", "news", "train.py:90")
    assert stuck([any_of, State("finished"), State()]) == set()
    assert stuck([any_of, State("finished"), State("finished")]) == {0}
    assert stuck([any_of, back, State("finished")]) == {0, 1}
    assert stuck([any_of, back, State()]) == set()
    assert (
        say(0, any_of)
        == "rank 0 waits in test of recv(source=1) 'news' at train.py:88, and messages of rank 2"
    )


def compute(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        np.sqrt(np.ones(1000))


@ranks(2)
def test_tests_between_computations_are_no_deadlock(comm: Communicator) -> None:
    """Rank 1 waits for what rank 0 sends after it has computed, and rank 0 tests for what rank 1 sends
    then.
    """
    news, work = np.empty(1), np.empty(1)
    if comm.rank == 0:
        request = comm.irecv(news, 1, label="news")
        for _ in range(300):                                        # longer than SURE, on an idle machine
            compute(4e-3)
            assert not comm.test(request)
        comm.send(np.ones(1), 1, label="work")
        comm.wait(request)
    else:
        comm.recv(work, 0, label="work")
        comm.send(np.ones(1), 0, label="news")


@ranks(3)
def test_a_rank_that_polls_gets_what_comes_late(comm: Communicator) -> None:
    """From a rank that sleeps for longer than a deadlock takes, and one after the other, so that each begins
    anew.
    """
    if comm.rank == 0:
        requests = [comm.irecv(np.empty(1), source, label="late") for source in (1, 2)]
        for number in (0, 1):
            while not comm.test(requests[number]):
                time.sleep(1e-3 * number)
    else:
        time.sleep(1.5 * comm.rank)
        comm.send(np.ones(1), 0, label="late")


@ranks(2)
def test_a_rank_that_polls_for_a_while_may_go_on(comm: Communicator) -> None:
    """It tests without success for half the time of a deadlock; then it sends the message that its partner
    waits for.
    """
    request = comm.irecv(np.empty(1), 1 - comm.rank, label="news")
    if comm.rank == 0:
        end = time.monotonic() + SURE / 2
        while time.monotonic() < end:
            assert not comm.test(request)
        comm.send(np.ones(1), 1, label="news")
        comm.wait(request)
    else:
        comm.wait(request)
        comm.send(np.ones(1), 0, label="news")


def test_alone_a_test_of_what_cannot_come_ends() -> None:
    alone = solo()
    request = alone.irecv(np.empty(1), 0, label="own part")
    with refused(CommError, "'own part' at test_polling", kind="deadlock", cycle=(0,)):
        while not alone.test(request):
            pass


@pytest.mark.parametrize("checked", [True, False])
def test_the_limit_holds_for_tests(checked: bool) -> None:
    def program(comm: Communicator) -> None:
        if comm.rank == 1:
            time.sleep(2)
        request = comm.irecv(np.empty(1), 1 - comm.rank, label="news")
        while not comm.test(request):
            pass

    with refused(CommError, "test of recv", "computing at test_polling", kind="timeout", seconds=0.5):
        run(2, program, timeout=0.5, checked=checked)


def test_a_rank_whose_message_has_come_is_not_stuck() -> None:
    """On a busy machine, a rank may not run for seconds after its message has arrived."""
    polling = Polling()
    request = Request("recv", 1, 0, np.empty(1), "x")
    polling.requests[request] = None  # type: ignore[assignment]
    polling.tests, polling.idle, polling.last = 100, 5.0, time.monotonic()
    assert polling.sure(30.0)
    request.done = True
    assert not polling.sure(30.0)


BYTES = np.zeros(8, np.uint8)
SENDS: dict[str, Callable[[Communicator], object]] = {
    "isend": lambda comm: comm.isend(np.ones(1), 1, tag=3),
    "send": lambda comm: comm.send(np.ones(1), 1, tag=3),
    "isend_message": lambda comm: comm.isend_message(BYTES, 1, type_code=0),
    "send_message": lambda comm: comm.send_message(BYTES, 1, type_code=0),
}


@pytest.mark.parametrize("send", SENDS)
def test_sends_to_a_rank_that_has_left_are_no_progress(send: str) -> None:
    def program(comm: Communicator) -> None:
        if comm.rank == 0:
            request = comm.irecv(np.empty(1), 2, label="news")
            while not comm.test(request):
                SENDS[send](comm)

    with pytest.raises(CommError, match=r"the partner has left, rank 2: rank 0 waits in test of recv"):
        run(3, program, timeout=5.0)


SENDING_IN_TURNS = """
import itertools
import numpy as np
import minipar as mp
from tests.comm.deadlock.test_polling import SENDS
with mp.job(timeout=10) as comm:
    comm.open_messages()
    if comm.rank == 0:
        sends = itertools.cycle(SENDS.values())
        request = comm.irecv(np.empty(1), 2, label="news")
        while not comm.test(request):
            next(sends)(comm)
"""


@pytest.mark.mpi
def test_sends_to_a_rank_that_has_left_are_no_progress_under_mpirun() -> None:
    job = mpirun(3, [sys.executable, "-c", SENDING_IN_TURNS], limit=60)
    assert job.returncode and "the partner has left, rank 2: rank 0 waits in test of recv" in job.stdout


def test_sends_to_a_rank_that_works_are_progress() -> None:
    def program(comm: Communicator) -> None:
        if comm.rank == 0:
            request = comm.irecv(np.empty(1), 1, label="enough")
            while not comm.test(request):
                comm.send(np.ones(1), 1, label="work")
                time.sleep(0.005)
            comm.send(np.zeros(1), 1, label="work")
        else:
            end = time.monotonic() + 0.6
            while comm.recv(np.empty(1), 0, label="work")[0]:
                if time.monotonic() > end:
                    comm.send(np.ones(1), 0, label="enough")
                    end = float("inf")

    run(2, program, timeout=0.3)
