"""What minipar run shows beside the program's own output, and the same from Python and from a notebook."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from minipar.errors import CommError, ConfigError
from minipar.mpi4py_face import notebook
from minipar.mpi4py_face.options import RunOptions
from minipar.mpi4py_face.program import compiled
from minipar.mpi4py_face.races import races
from minipar.mpi4py_face.run_program import run_program
from tests.commands import call
from tests.refusals import refused

MASTER = """
from mpi4py import MPI
import numpy as np
comm = MPI.COMM_WORLD
if comm.rank:
    comm.Send(np.zeros(comm.rank), dest=0)
else:
    status = MPI.Status()
    for _ in range(1, comm.size):
        comm.Recv(np.zeros(9), source=MPI.ANY_SOURCE, status=status)
        print(status.Get_source())
"""


@pytest.fixture
def master(tmp_path: Path) -> Path:
    path = tmp_path / "master.py"
    path.write_text(MASTER)
    return path


def test_count(master: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("run", "-n", 4, "--count", master) == 0
    table = capsys.readouterr().out.splitlines()[3:]
    assert table[0].split() == ["label", "op", "group", "calls", "messages", "bytes"]
    assert table[1].split() == ["master.py:6", "send", "world", "3", "3", "48"]
    run = run_program(4, master, count=True, quiet=True)
    assert (run.traffic.total().messages, run.traffic.total().bytes) == (3, 8 + 16 + 24)


def test_trace(master: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("run", "-n", 3, "--trace", tmp_path / "run.json", master) == 0
    rows = json.loads((tmp_path / "run.json").read_text())["traceEvents"]
    assert sum(row["ph"] == "s" for row in rows) == 2 == sum(row["ph"] == "f" for row in rows)
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")


def test_clock(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One message of 8 bytes there and back: twice alpha + 8 beta, and what the program computes."""
    program = tmp_path / "there.py"
    program.write_text("""
from mpi4py import MPI
import numpy as np
comm, data = MPI.COMM_WORLD, np.zeros(1)
start = MPI.Wtime()
if comm.rank == 0:
    comm.Send(data, 1); comm.Recv(data, 1)
    print(MPI.Wtime() - start)
else:
    comm.Recv(data, 0); comm.Send(data, 0)
""")
    assert call("run", "-n", 2, "--clock", "alpha=10,beta=1", program) == 0
    assert 36 <= float(capsys.readouterr().out) < 37


@pytest.mark.parametrize("rule", ["first", "seed=1", "seed=5"])
def test_an_order_of_arrival_repeats(master: Path, rule: str) -> None:
    runs = [run_program(5, master, any_source=rule, quiet=True).output(0) for _ in range(3)]
    assert runs[0] == runs[1] == runs[2] and sorted(runs[0]) == ["1", "2", "3", "4"]
    if rule == "first":
        assert runs[0] == ["1", "2", "3", "4"]


def test_orders_leave_the_order_of_one_sender(tmp_path: Path) -> None:
    """Messages of one rank do not overtake, and a probe is followed by its receive."""
    source = """
from mpi4py import MPI
comm = MPI.COMM_WORLD
if comm.rank:
    for i in range(3): comm.send((comm.rank, i), dest=0, tag=i)
else:
    status, got = MPI.Status(), []
    for _ in range(3 * (comm.size - 1)):
        comm.probe(status=status)
        got.append(comm.recv(source=status.Get_source(), tag=status.Get_tag()))
    assert all([i for rank, i in got if rank == each] == [0, 1, 2] for each in range(1, comm.size)), got
comm.barrier()
"""
    path = tmp_path / "order.py"
    path.write_text(source)
    for seed in range(5):
        run_program(4, path, any_source=f"seed={seed}")


@pytest.mark.parametrize("source, differ, word", [
    (MASTER, True, "replay with --any-source first"),
    (MASTER.replace("print(status.Get_source())", "pass"), False, "no difference in 8 orders"),
    (MASTER + "import time; print(time.perf_counter())", True, "line 1"),
    ("import time; print(time.perf_counter())", False, "left out")])
def test_races(source: str, differ: bool, word: str) -> None:
    found, text = races(compiled(source, "program.py", "."), 5, RunOptions(), 8)
    assert found == differ and word in text, text


def test_a_failed_run_raises(tmp_path: Path) -> None:
    program = tmp_path / "late.py"
    program.write_text("from mpi4py import MPI\nMPI.COMM_WORLD.recv(source=0)")
    with refused(CommError, kind="deadlock", cycle=(0,)):
        run_program(1, program)
    with pytest.raises(ConfigError, match="no program"):
        run_program(1, tmp_path / "none.py")
    program.write_text("answer = 42")
    assert [variables["answer"] for variables in run_program(2, program).globals] == [42, 42]


def test_the_cell_magic(capsys: pytest.CaptureFixture[str]) -> None:
    notebook.ranks("2 --count", "from mpi4py import MPI\nprint(MPI.COMM_WORLD.allreduce(1))")
    out, err = capsys.readouterr()
    assert sorted(out.splitlines()[:2]) == ["[0] 2", "[1] 2"] and "allreduce" in out and not err
    notebook.ranks("2", "from mpi4py import MPI\nMPI.COMM_WORLD.recv(source=1 - MPI.COMM_WORLD.rank)")
    assert "deadlock" in capsys.readouterr().err
    notebook.ranks("two", "")
    assert "number of ranks" in capsys.readouterr().err
