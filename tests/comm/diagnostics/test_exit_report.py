"""Programs under mpirun that end as they should."""

import os
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import minipar as mp
from minipar.comm.diagnostics import drain_stderr as unread
from minipar.comm.diagnostics.drain_stderr import until_read
from minipar.comm.diagnostics.exit_report import first_diagnosis, last_words
from minipar.errors import CommError
from tests.ranks import mpirun

START = "import sys, time\nfrom minipar.comm.job import job\n"
HEAD = f"{START}with job() as comm:\n    comm.barrier(label='work')\n"
LATE = f"""{START}
from minipar.comm.mpi import MpiComm
settle = MpiComm.__init__
MpiComm.__init__ = lambda comm, *given, **named: (settle(comm, *given, **named), time.sleep(0.3 * comm.rank))[0]
with job(timeout=0.02): pass
"""


@pytest.mark.mpi
@pytest.mark.parametrize("code", [
    LATE,                                                           # the limit does not count for the start
    f"{HEAD}    if comm.rank: sys.exit(0)",  # at its end: the other is not left waiting
    f"{HEAD}    time.sleep(0.3 * comm.rank)",                       # the first waits for the last
], ids=["late to begin", "exit", "late to end"])
def test_a_right_program_ends_silently(code: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(code + "\n")
    done = mpirun(3, [sys.executable, str(program)], limit=60)
    assert (done.returncode, done.stdout) == (0, "")


def test_last_words_wait_for_a_launcher_that_is_slow_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"ValueError")
    begin = time.monotonic()
    threading.Timer(0.2, os.read, (reading, 10)).start()
    until_read(writing)
    assert time.monotonic() - begin >= 0.2
    monkeypatch.setattr(unread, "LONGEST", 0.05)
    os.write(writing, b"nobody reads this")
    until_read(writing)
    with open(os.devnull, "w") as file:
        until_read(file.fileno())


@pytest.mark.parametrize("calls, shown", [
    (("cli/run.py", "mpi4py_face/as_process.py", "program.py", "comm/ring.py"), 2),
    (("cli/run.py", "cli/pictures.py"), 2),                         # a mistake in minipar itself
])
def test_traceback_begins_at_the_program(calls: tuple[str, ...], shown: int) -> None:
    package = Path(first_diagnosis.__code__.co_filename).parents[2]
    call: Callable[[], object] = partial(divmod, 1, 0)
    for file in reversed(calls):
        path = str(package / file) if "/" in file else file
        exec(compile("def outer(): call()", path, "exec"), table := {"call": call})
        call = table["outer"]
    frames = compile("call()", str(package / "__main__.py"), "exec")
    with pytest.raises(ZeroDivisionError) as caught:
        exec(frames, {"call": call})
    caught.value.__traceback__ = caught.tb.tb_next                  # without the frame of this test
    said = last_words(caught.value, 1, 2)[0]
    assert [file in said for file in calls] == [number >= len(calls) - shown for number in range(len(calls))]


@pytest.mark.parametrize("line, kind, text", [
    ("MPI.COMM_WORLD.scatter([1, 2, 3])", ValueError, "expecting 2 items"),
    ("import no_such_module", ImportError, "no_such_module"),
    ("import helper", ZeroDivisionError, "division"),               # helper.py lies beside the program
    ("MPI.COMM_WORLD.allreduce(1, op=lambda x, y: x / 0)", ZeroDivisionError, "division"),
])
def test_traceback_shows_the_lines_of_the_program(line: str, kind: type[Exception], text: str,
                                                  tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(f"from mpi4py import MPI\n{line}\n")
    (tmp_path / "helper.py").write_text("1 / 0\n")
    with pytest.raises(kind, match=text) as caught:
        mp.run_program(2, program)
    caught.value.__traceback__ = caught.tb.tb_next                  # without the frame of this test
    said = last_words(caught.value, 0, 2)[0]
    assert 'program.py", line 2' in said and "mpi4py_face" not in said and "importlib" not in said


@pytest.mark.mpi
def test_what_was_printed_before_an_error_is_not_lost(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(HEAD + "    print('result', comm.rank)\n    if comm.rank == 1: raise "
                              "ValueError('late')\n"
                              "    comm.barrier(label='never')\n")
    done = mpirun(2, [sys.executable, str(program)], limit=60)
    assert done.returncode == 1 and "result 1" in done.stdout and done.stdout.count("ValueError: late") == 1


def test_of_errors_on_the_way_out_the_first_is_told() -> None:
    first, then = CommError("a cycle of waiting 0 -> 1 -> 0"), CommError("rank 0 waits for itself")
    then.__context__ = first
    assert first_diagnosis(then) is first
    first.__context__ = KeyError("weights")
    assert first_diagnosis(then) is first
    other = ValueError("the program's own")
    other.__context__ = first
    assert first_diagnosis(other) is other
