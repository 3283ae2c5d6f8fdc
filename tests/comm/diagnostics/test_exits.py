"""Programs that fail and would end with status 0: each must end with another status and a message."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from minipar.comm.collectives import all_reduce
from minipar.comm.deadlock.stack_probe import catches
from minipar.comm.diagnostics.exit_report import exit_status
from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.errors import CommError
from tests.ranks import mpirun, ranks
from tests.refusals import refused

HEAD = """
import atexit, ctypes, os, signal, sys, threading
import numpy as np
from minipar.comm.job import job
def wrong(comm):
    comm.send(np.ones(1), 99, label="astray")
class Last:
    def __del__(self):
        wrong(self.comm)
with job() as comm:
"""
LATE = "atexit.register(wrong, comm)"
DIRECT = "atexit.register(comm.send, np.ones(1), 0)"
EXITS = {  # what the last rank does: what is said of it
    "os._exit(0)": "os._exit(0) at",
    "os._exit(256)": "os._exit(256) at",
    "sys.exit(256)": "left with status 256",
    "sys.exit(-256)": "left with status -256",
    "sys.exit('no text')": "no text",
    "sys.exit(0.0 + 2.5)": "2.5",
    "helper = threading.Thread(target=wrong, args=(comm,)); helper.start(); helper.join()": "in its own thread",
    "helper = threading.Thread(target=sys.exit, args=(3,)); helper.start(); helper.join()": "left with status 3",
    "last = Last(); last.comm = comm; del last": "names rank 99",
    LATE: "comes after the job's end",
    DIRECT: ": send at",
}


@pytest.mark.mpi
@pytest.mark.parametrize("leaves", EXITS)
def test_no_failure_is_a_success_under_mpirun(leaves: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    work = "    comm.barrier(label='work')\n"
    program.write_text(f"{HEAD}{work}    if comm.rank:\n        {leaves}\n"
                       + ("" if leaves in (LATE, DIRECT) else work))
    done = mpirun(2, [sys.executable, str(program)], limit=60)
    assert "refuse at" not in done.stdout  # the call is named as the program called it
    assert done.returncode != 0 and EXITS[leaves] in done.stdout and "Traceback" not in done.stdout, (
        done.stdout
    )


@pytest.mark.mpi
def test_a_call_after_the_job_is_one_line(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(f"{HEAD}    pass\nwrong(comm)\n")
    done = mpirun(2, [sys.executable, str(program)], limit=60)
    assert done.returncode and done.stdout.count("comes after the job's end") == 1, done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize("leaves", [leaves for leaves in EXITS if leaves not in (LATE, DIRECT)
                                    and "os._exit" not in leaves])
def test_no_failure_is_a_success_alone(leaves: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", f"{HEAD}    {leaves}\n"], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode != 0


def test_what_python_ignores_at_its_end_is_shown_as_it_is() -> None:
    """Python then empties the modules one after the other; here a socket is freed after the names of
    escapes.py.
    """
    program = ("import socket\nimport minipar.comm.deadlock.meeting as late\n"
               "from minipar.comm.diagnostics.escapes import report_escapes\n"
               "report_escapes(print)\nlate.door = socket.socket()\n")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60
    )
    assert (
        done.returncode == 0 and "ResourceWarning: unclosed" in done.stderr and "TypeError" not in done.stderr
    )


@pytest.mark.parametrize("status, seen", [(256, 1), (-256, 1), (3, 3)])
def test_a_status_of_a_rank_that_is_a_thread_is_no_success(status: int, seen: int) -> None:
    def in_helper(comm: Communicator) -> None:
        helper = threading.Thread(target=sys.exit, args=(status,))
        helper.start()
        helper.join()

    for program in (lambda comm: sys.exit(status), in_helper):
        with pytest.raises(SystemExit) as left:
            run(2, program)
        assert left.value.code == seen


def test_a_status_keeps_its_meaning() -> None:
    assert [exit_status(code) for code in (None, 0, False, 3, 255, 256, -1, -256, 1 << 40, "text", 2.5)] == [
        0, 0, 0, 3, 255, 1, 255, 1, 1, 1, 1]


def test_threads_do_not_hide_the_errors_of_their_helpers() -> None:
    def work(comm: Communicator) -> None:
        helper = threading.Thread(target=comm.send, args=(np.ones(1), 99), kwargs={"label": "astray"})
        helper.start()
        helper.join()

    with refused(CommError, kind="other thread", label="astray"):
        run(2, work)
    with pytest.raises(CommError, match=r"os._exit\(0\)"):
        run(2, lambda comm: os._exit(0))


def child_says(comm: Communicator) -> str:
    """A child process of the rank sends in the name of the rank. Returns the error that the child gets."""
    out, into = os.pipe()
    if not (child := os.fork()):
        try:
            comm.send(np.ones(1), comm.rank, label="from the child")
            os.write(into, b"it was sent")
        except CommError as error:
            os.write(into, f"{error.facts['kind']} {error.facts['label']}".encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    said = os.read(out, 1000).decode()
    os.close(out)
    os.close(into)
    comm.barrier(label="the rank itself goes on")
    return said


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_process_cannot_send_in_the_name_of_its_rank() -> None:
    assert run(2, child_says) == ["forked from the child"] * 2


@ranks(2)
def test_a_child_process_cannot_send_in_the_name_of_its_rank_under_mpi(comm: Communicator) -> None:
    assert child_says(comm) == "forked from the child"


@pytest.mark.mpi
@pytest.mark.parametrize("closes", ["os.close(2); sys.stderr = None", "os.dup2(os.open('/dev/full', 1), 2)",
                                    "sys.stderr.close()", "os.close(1); os.close(2)"])
def test_a_rank_without_stderr_says_it_elsewhere(closes: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(f"{HEAD}    comm.barrier(label='work')\n    if comm.rank:\n        {closes}\n        "
                       "wrong(comm)\n"
                       "    comm.barrier(label='never')\n")
    done = mpirun(2, [sys.executable, str(program)], limit=60)
    assert done.returncode == 2 and done.stdout.count("names rank 99") == 1


@pytest.mark.mpi
def test_a_watcher_that_is_stopped_goes_on_when_its_rank_ends(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(f"{HEAD}    if comm.rank == 0:\n        os.kill(comm.inner.lookout.watcher.pid, "
                       "signal.SIGSTOP)\n"
                       "    comm.barrier()\n    if comm.rank:\n        os.kill(os.getpid(), signal.SIGKILL)\n"
                       "    comm.barrier()\n")
    done = mpirun(2, [sys.executable, str(program)], limit=30)
    assert "rank 1 ended without an error message" in done.stdout and "stopped: not done" not in done.stdout


@pytest.mark.mpi
@pytest.mark.parametrize("label, said", [("'two\\nlines'", r"'two\nlines'"), ("'\\udce9'", r"'\udce9'"),
                                         ("'x' * 3_000_000", "characters]...")])
def test_any_label_is_told_in_one_short_line(label: str, said: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(f"{HEAD}    if comm.rank:\n        comm.recv(np.ones(1), 0, label={label}, tag=1)\n"
                       f"    comm.send(np.ones(1), 9, label={label})\n")
    done = mpirun(2, [sys.executable, str(program)], limit=60)
    line, = (line for line in done.stdout.splitlines() if line.startswith("CommError"))
    assert done.returncode == 2 and said in line and len(line) < 2000


@pytest.mark.mpi
def test_a_program_that_resets_every_signal_is_not_ended_by_our_question(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(f"{HEAD}    if comm.rank:\n        import time\n        for n in (*range(1, 32), "
                       "*range(34, 65)):\n"
                       "            n in (9, 19) or signal.signal(n, signal.SIG_DFL)\n            "
                       "ctypes.CDLL(None).signal(n, 0)\n"
                       "        time.sleep(8)\n    comm.barrier(label='work')\n")
    environment = f"import os; os.environ['MINIPAR_TIMEOUT'] = '1'; exec(open({str(program)!r}).read())"
    done = mpirun(2, [sys.executable, "-c", environment], limit=60)
    assert (
        "timed out after 1 s" in done.stdout
        and "rank 1 is computing" in done.stdout
        and "ended without an error message" not in done.stdout
    )


def test_what_a_process_catches() -> None:
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    assert catches(os.getpid(), signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    assert not catches(os.getpid(), signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, before)


def test_groups_of_one_name_with_the_same_two_ranks_add_up() -> None:
    """Ranks 0 and 1 are in both groups "tp", and exchange another number of messages in each."""
    def exchange(comm: Communicator) -> None:
        for size, times in ((2, 3), (3, 1)):
            group = comm.split(comm.rank // size, label="tp")
            for _ in range(times):
                all_reduce(group, np.ones(2), label="in both")

    run(6, exchange)
