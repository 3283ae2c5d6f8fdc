"""The ranks of a node meet before MPI starts; here without any MPI, as objects of this process."""

import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from minipar.comm.deadlock import meeting
from minipar.comm.deadlock.board import life_of
from minipar.comm.deadlock.meeting import Meeting, is_ending, meeting_of
from minipar.errors import CommError
from tests.comm.deadlock.test_board import until
from tests.refusals import refused

LONG = 20.0
NUMBERS = itertools.count()


@pytest.fixture
def launched() -> Iterator[list[subprocess.Popen]]:
    """What a launcher has started: two processes, ranks 4 and 5 of the job."""
    code = [sys.executable, "-c", "import time; time.sleep(60)"]
    processes = [subprocess.Popen(code, env=os.environ | {"LOCAL": str(rank)}) for rank in range(2)]
    yield processes
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture
def pair(launched: list[subprocess.Popen], monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Meeting]]:
    """The meeting as each of two ranks sees it. Other children of this process are not ranks."""
    monkeypatch.setattr(meeting, "children", lambda launcher: [process.pid for process in launched])
    name = f"\0minipar-test-{os.getpid()}-{next(NUMBERS)}"
    both = [Meeting(name, os.getpid(), rank, 2, 4, "LOCAL") for rank in range(2)]
    yield both
    for door in [*both[0].sockets, *both[1].sockets]:
        door.close()


def test_ranks_that_come_meet(pair: list[Meeting]) -> None:
    other = threading.Thread(target=pair[1].come, args=(LONG,))
    other.start()
    pair[0].come(LONG)
    other.join()
    assert set(pair[0].present) == set(pair[1].present) == {0, 1}
    assert pair[0].present[1] == os.getpid()


def test_a_rank_that_does_not_come_is_named_with_what_it_does(pair: list[Meeting],
                                                              launched: list[subprocess.Popen]) -> None:
    launched[1].send_signal(signal.SIGSTOP)
    until(lambda: life_of(launched[1].pid) == "stopped")
    with refused(CommError, "timed out", "rank 5 is stopped", f"kill -CONT {launched[1].pid}", kind="timeout",
                 seconds=0.1, ranks=(5,)):
        pair[0].come(0.1)


def test_a_rank_that_says_it_leaves_is_not_waited_for(pair: list[Meeting]) -> None:
    pair[1].leave()
    with refused(CommError, kind="ended"):
        pair[0].come(LONG)


def test_the_end_of_a_helper_is_not_the_rank_s(pair: list[Meeting]) -> None:
    """A child process of a rank ends; for a moment it looks like the end of the rank."""
    pair[1].leave()
    threading.Timer(0.1, pair[1].sockets[0].close).start()
    with refused(CommError, kind="timeout", ranks=(5,)):
        pair[0].come(1.0)


def test_a_rank_that_is_gone_is_not_waited_for(pair: list[Meeting], launched: list[subprocess.Popen]) -> None:
    launched[1].kill()
    with pytest.raises(CommError, match="rank 5 ended before `with job"):
        pair[0].come(LONG)


def test_only_one_reports_and_only_one_is_a_rank(pair: list[Meeting]) -> None:
    assert [one.claim() for one in pair] == [True, False]
    pair[0].listen("0")
    with pytest.raises(CommError, match="two processes have rank 4"):
        pair[0].come(LONG)


@pytest.mark.parametrize("environ", [
    {}, {"PMI_RANK": "0", "PMI_SIZE": "2"},                         # Slurm's says nothing of the node
    {"MPI_LOCALRANKID": "x", "MPI_LOCALNRANKS": "2", "PMI_RANK": "0", "PMI_SIZE": "2"},
    # no launcher above us
    {"MPI_LOCALRANKID": "0", "MPI_LOCALNRANKS": "2", "PMI_RANK": "0", "PMI_SIZE": "2"},
])
def test_without_a_launcher_that_says_enough_there_is_no_meeting(environ: dict[str, str]) -> None:
    assert meeting_of(environ) is None


def test_a_process_that_has_ended_is_ending() -> None:
    child = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    assert not is_ending(os.getpid()) and not is_ending(child.pid)
    assert child.stdin is not None
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)         # it has ended, and is still in the table
    assert is_ending(child.pid)
    child.wait()
    assert is_ending(child.pid)
