"""How a program starts and ends without mpirun; the other half is in test_planted.py."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from minipar.comm.backoff import EVERY_LOOK, FIRST_LOOK, LONGEST, PAUSE, Patience, cores
from minipar.comm.deadlock.detector import Lookout
from minipar.comm.job import TIMEOUT, job, ranks_started, timeout_from
from minipar.comm.protocol import Communicator, Request
from minipar.comm.solo import solo
from minipar.errors import CommError, DataError
from tests.ranks import mpirun

ROOT = Path(__file__).parents[2]


def test_a_program_alone_has_one_checked_rank(capsys: pytest.CaptureFixture[str]) -> None:
    with job() as comm:
        assert (comm.rank, comm.size) == (0, 1)
        comm.barrier(label="alone")
    assert capsys.readouterr().err == ""


def test_a_user_s_mistake_is_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left, job():
        raise DataError("no text in corpus.txt")
    assert left.value.code == 2 and capsys.readouterr().err == "DataError: no text in corpus.txt\n"


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), job():
        print(1 / 0)


def test_loose_ends_are_told_at_the_end_unless_unchecked(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), job() as comm:
        comm.send(np.ones(1), 0, label="lost")
    assert (
        "rank 0 never received a message from rank 0 'lost' sent at test_job.py:" in capsys.readouterr().err
    )
    with job(checked=False) as comm:
        comm.send(np.ones(1), 0, label="lost")


def test_what_the_environment_says() -> None:
    assert (
        ranks_started({}) is None
        and ranks_started({"PMI_SIZE": "4"}) == 4
        and ranks_started({"OMPI_COMM_WORLD_SIZE": "2"}) == 2
    )
    assert timeout_from({}) == TIMEOUT and timeout_from({"MINIPAR_TIMEOUT": "2.5"}) == 2.5
    assert timeout_from({"MINIPAR_TIMEOUT": "inf"}) == float("inf")
    for text in ("soon", "0", "-1", "nan", ""):
        with pytest.raises(CommError, match="MINIPAR_TIMEOUT is"):
            timeout_from({"MINIPAR_TIMEOUT": text})


@pytest.mark.parametrize("spoil, says", [
    ("sys.modules['mpi4py'] = None", "started by mpirun, but mpi4py cannot be used"),
    ("os.environ['PMI_SIZE'] = '4'",
     "the launcher started 4 ranks, but MPI sees 1: mpirun and mpi4py belong to different MPIs"),
    ("os.environ['MINIPAR_TIMEOUT'] = 'soon'", "MINIPAR_TIMEOUT is 'soon'"),
])
@pytest.mark.mpi
def test_a_job_that_cannot_start_says_why_in_one_line(spoil: str, says: str) -> None:
    code = (f"import os, sys\nos.environ['OMPI_COMM_WORLD_SIZE'] = '1'\n{spoil}\n"
            "from minipar.comm.job import job\nwith job() as comm: print('started')\n")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2 and done.stdout == "" and says in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.mpi
def test_a_mistake_in_the_environment_is_told_once() -> None:
    code = ("import os\nos.environ['MINIPAR_TIMEOUT'] = 'soon'\nfrom minipar.comm.job import job\n"
            "with job() as comm: print('started')\n")
    done = mpirun(3, [sys.executable, "-c", code], limit=30)
    assert (
        done.returncode == 2
        and done.stdout.count("MINIPAR_TIMEOUT is 'soon'") == 1
        and "started" not in done.stdout
    )


@pytest.mark.parametrize("call", [
    lambda comm: comm.send(np.ones(1), 0, label="late"), lambda comm: comm.recv(np.ones(1), 0, label="late"),
    lambda comm: comm.barrier(label="late")], ids=["send", "recv", "barrier"])
def test_a_communicator_serves_no_longer_than_its_job(call: Callable[[Communicator], object]) -> None:
    with job() as comm:
        pass
    with pytest.raises(CommError, match=r"at test_job.py:\d+ comes after the job's end"):
        call(comm)


def test_importing_minipar_s_communication_does_not_start_mpi() -> None:
    code = ("import sys\nimport minipar.comm.job, minipar.comm.threads, minipar.comm.collectives\n"
            "sys.exit('mpi4py' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_patience_looks_around_now_and_then() -> None:
    looks: list[float] = []
    Patience(1).wait(lambda found: len(found) == 4, looks, lambda found, waited: found.append(waited))
    gaps = np.diff(looks)
    assert FIRST_LOOK <= looks[0] < FIRST_LOOK + 2 * EVERY_LOOK and (gaps >= EVERY_LOOK).all()


def test_patience_does_not_look_around_for_what_comes_soon() -> None:
    tests = iter([False] * 10 + [True])
    Patience(1).wait(next, tests, lambda _, waited: pytest.fail("it looked"))


def test_ranks_that_outnumber_cores_sleep_longer() -> None:
    alone, crowded = Patience(1), Patience(4 * cores())
    assert (alone.pause, alone.longest) == (PAUSE, PAUSE)
    assert (crowded.pause, crowded.longest) == (4 * PAUSE, LONGEST)


def test_without_a_board_there_is_still_a_limit() -> None:
    request = Request("recv", 0, 2, np.empty(1), "forward")
    Lookout(5.0).look(solo(), request, 4.9, "", None)
    with pytest.raises(CommError, match=r"^rank 0 timed out .*'forward' at test_job.py:\d+"):
        Lookout(5.0).look(solo(), request, 5.1, "", None)
