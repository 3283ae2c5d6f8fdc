"""Jobs that start differently on different ranks: each ends by itself, with one line that names the rank and
its action.

`python -m tests.comm.test_start` runs all of them under mpirun; `make test` one of each kind, three jobs at a
time, since a job mostly waits.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from minipar.comm.agreement import agree_on_options
from minipar.comm.deadlock import start_guard
from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.errors import CommError
from tests.comm.deadlock.test_board import until
from tests.ranks import mpirun

HEAD = """
import os, signal, sys, threading, time
import numpy as np
import minipar as mp
from minipar.comm import job as module
from minipar.comm.deadlock import start_guard
rank = int(os.environ.get("PMI_RANK", os.environ.get("OMPI_COMM_WORLD_RANK")))
def stop(): os.kill(os.getpid(), signal.SIGSTOP)
def short(start): module.START = start
def stops_in(function):
    def stopping(*words):
        result = function(*words)
        if rank == 1: stop()
        return result
    return stopping
"""
JOB = "with mp.job(timeout=2) as comm: comm.barrier()\n"
FIRST = "with mp.job() as comm: comm.barrier()\n"
BEFORE = "rank 1 ended before `with job()`"
# name: what the ranks do, what is said, and of how many ranks (2 unless said)
STARTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "raises after MPI has started": ("from mpi4py import MPI\nif rank == 1: raise ValueError('no data')\n" + FIRST,
                                     ("ValueError: no data", BEFORE)),
    "is stopped in the start": ("short(2.0)\nmodule.meet = stops_in(module.meet)\n" + JOB,
                                ("did not start within 2 s", "rank 1 is stopped (kill -CONT")),
    "may open few files": ("import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))\n" + FIRST,
                           ("ulimit -n 1024",)),
    "enters no second job": (FIRST + "if rank == 0:\n    with mp.job() as comm: pass\n",
                             ("rank 1 has finished", "rank 0 is in job 'options' at program.py:")),
    "is killed between two jobs": (FIRST + "if rank == 1: os.kill(os.getpid(), signal.SIGKILL)\n" + FIRST,
                                   ("rank 1 ended without an error message",)),
    "talks in a second thread": (
        "with mp.job() as comm:\n    if rank == 1:\n"
        "        helper = threading.Thread(target=lambda: comm.recv(np.ones(1), 0, label='aside'))\n"
        "        helper.start(); helper.join()\n    comm.barrier()\n",
        ("recv 'aside' at program.py:", "in its own thread")),
}
MORE: dict[str, tuple[str, tuple[str, ...]]] = {
    "raises": ("if rank == 1: raise ValueError('no data')\n" + FIRST, ("ValueError: no data",)),
    "has other options": ("with mp.job(checked=rank == 0) as comm: pass\n",
                          ("job at program.py:", "do not agree on checked: rank 0: True; rank 1: False")),
    "is stopped before a native collective": (
        "with mp.job(timeout=1, checked=False) as comm:\n    comm.barrier()\n    if rank == 1: stop()\n"
        "    mp.all_reduce(comm, np.ones(2), label='loss', algorithm='native')\n",
        ("timed out after 1 s", "rank 0 is in all_reduce 'loss' at program.py:", "within the MPI library")),
    "raises late": ("if rank == 1:\n    time.sleep(2)\n    raise ValueError('no data')\n" + FIRST,
                    ("ValueError: no data",)),
    "leaves with 0": ("if rank == 1: sys.exit(0)\n" + FIRST, (BEFORE,)),
    "leaves by os._exit": ("if rank == 1: os._exit(0)\n" + FIRST, (BEFORE,)),
    "leaves after MPI has started": ("from mpi4py import MPI\nif rank == 1: sys.exit(0)\n" + FIRST,
                                     (BEFORE,)),
    "never comes": ("short(2.0)\nif rank == 1: time.sleep(99)\n" + JOB,
                    ("rank 1 did not come", "rank 1 is elsewhere")),
    "is stopped before": ("short(2.0)\nif rank == 1: stop()\n" + JOB,
                          ("rank 1 did not come", "rank 1 is stopped")),
    "never comes after MPI has started": ("from mpi4py import MPI\nshort(2.0)\nif rank == 1: time.sleep(99)\n" + JOB,
                                          ("rank 1 did not come",)),
    "is stopped once MPI has started": ("short(5.0)\nmodule.import_mpi = stops_in(module.import_mpi)\n" + JOB,
                                        ("did not start within 5 s", "rank 1 is stopped")),
    "has no mpi4py": ("if rank == 1: sys.modules['mpi4py'] = None\n" + FIRST, ("mpi4py cannot be used",)),
    "has another limit": ("with mp.job(timeout=10 + rank) as comm: pass\n",
                          ("do not agree on timeout: rank 0: 10",)),
    "sends otherwise": ("with mp.job(synchronous=rank == 0) as comm: pass\n",
                        ("do not agree on synchronous",)),
    "has other options in a second job": (FIRST + "with mp.job(checked=rank == 0) as comm: pass\n",
                                          ("do not agree on checked",)),
    "raises between two jobs": (FIRST + "if rank == 1: raise ValueError('no data')\n" + FIRST,
                                ("ValueError: no data", "rank 1 has finished")),
    "stays between two jobs": (FIRST + "if rank == 1: time.sleep(99)\n" + JOB,
                               ("timed out after 2 s", "rank 1 is outside of `with job()`")),
    "calls no native collective": (
        "with mp.job(timeout=1, checked=False) as comm:\n    comm.barrier()\n"
        "    if rank == 0: mp.all_reduce(comm, np.ones(2), label='loss', algorithm='native')\n",
        ("timed out after 1 s", "within the MPI library")),
    "is stopped in the making of shared memory": (
        "from mpi4py import MPI\nfrom minipar.comm.mpi import engine\n"
        "from minipar.comm.collectives.shared_array import shared_array\n"
        "class Win(MPI.Win):\n    Allocate_shared = staticmethod(lambda *a, **k: (rank == 1 and stop(), "
        "MPI.Win.Allocate_shared(*a, **k))[1])\n"
        "class Library:\n    Win = Win\n    def __getattr__(self, name): return getattr(MPI, name)\n"
        "engine.MPI = Library()\n"
        "with mp.job(timeout=1) as comm: shared_array(comm, 10, 'f8', label='stage')\n",
        ("timed out after 1 s", "rank 0 is in shared 'stage' at program.py:", "rank 1 is stopped")),
}


def wrong(code: str, says: tuple[str, ...], folder: Path) -> str:
    """The error of a run of this code on 2 ranks; "" if it ends as it should."""
    program = folder / "program.py"
    program.write_text(HEAD + code)
    done = mpirun(2, [sys.executable, str(program)], limit=25)
    said = done.stdout
    if done.returncode == 0 or "stopped: not done" in said:
        return f"it {'hangs' if done.returncode else 'ends with status 0'}: {said}"
    if missing := [text for text in says if text not in said]:
        return f"it does not say {missing}: {said}"
    if sum(line.startswith("CommError") for line in said.splitlines()) > 1 or said.count("Traceback") > 1:
        return f"it is told more than once: {said}"
    return ""


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[str]]]:
    """Name of a start -> its error, "" if it ends as it should."""
    with ThreadPoolExecutor(3) as pool:
        yield {
            name: pool.submit(wrong, *start, tmp_path_factory.mktemp("start"))
            for name, start in STARTS.items()
        }


@pytest.mark.mpi
@pytest.mark.parametrize("name", STARTS)
def test_a_rank_that(name: str, verdicts: dict[str, Future[str]]) -> None:
    assert not verdicts[name].result()


KILLED = """
from minipar.comm.deadlock.mpi_memory import memory_of_mpi
def die(start):
    result = start()
    if rank == 1:
        time.sleep(0.5)
        print(*memory_of_mpi([os.getpid()]), flush=True)
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGKILL)
    return result
"""


@pytest.mark.mpi
def test_a_rank_killed_in_the_start_is_named_and_leaves_nothing_behind(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(HEAD + KILLED + "imports = module.import_mpi\n"
                       "module.import_mpi = lambda started: die(lambda: imports(started))\n" + FIRST)
    done = mpirun(2, [sys.executable, str(program)], limit=25)
    memory = [word for word in done.stdout.split() if word.startswith("/dev/shm")]
    # the launcher may have ended rank 0, too, before the guard runs
    assert re.search("(rank 1|ranks 1, 0|ranks 0, 1) ended without an error message in the start", done.stdout)
    assert "Traceback" not in done.stdout
    assert memory
    until(lambda: not any(os.path.exists(path) for path in memory))


@pytest.mark.parametrize("ended", [False, True], ids=["its rank runs", "its rank has ended"])
def test_a_late_guard_kills_its_rank_and_no_other_parent(
    ended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An orphan belongs to init or to a manager of the user's processes."""
    killed: list[int] = []
    monkeypatch.setattr(start_guard, "end_all", lambda status: None)
    monkeypatch.setattr(os, "kill", lambda process, number: killed.append(process))
    reading, writing = os.pipe()
    start_guard.guard_start(reading, None, 0.0, os.getpid() if ended else os.getppid())
    os.close(reading), os.close(writing)
    assert killed == ([] if ended else [os.getppid()])


@pytest.mark.mpi
def test_two_jobs_in_one_program(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        HEAD + "for checked in (True, False, True):\n    with mp.job(checked=checked) as comm:\n"
        "        total = mp.all_reduce(comm, np.ones(1), algorithm='native')\n"
        "        assert mp.all_reduce(comm, np.ones(1))[0] == total[0] == 2\n"
    )
    done = mpirun(2, [sys.executable, str(program)], limit=25)
    assert (done.returncode, done.stdout) == (0, "")


def test_options_that_differ_are_refused_on_every_rank() -> None:
    def program(comm: Communicator) -> str:
        with pytest.raises(CommError) as caught:
            agree_on_options(comm, {"timeout": 30.0, "checked": comm.rank != 1})
        return str(caught.value)

    first, *others = run(3, program)
    assert "do not agree on checked: rank 0: True; rank 1: False; rank 2: True" in first
    assert others == [first, first]


def main() -> None:
    for name, (code, says) in (STARTS | MORE).items():
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            verdict = wrong(code, says, Path(folder))
        print(
            f"a rank {name:45} {time.monotonic() - start:5.1f} s  {verdict or 'as it should be'}", flush=True
        )


if __name__ == "__main__":
    main()
