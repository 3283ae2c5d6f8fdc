"""A program that cannot be run, or that does what a rank should not: one clear line each."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.commands import call

Out = pytest.CaptureFixture[str]


def told(capsys: Out, *words: object) -> tuple[int, str, str]:
    """(exit status, stdout, stderr) of minipar run."""
    capsys.readouterr()
    status = call("run", *words)
    out, err = capsys.readouterr()
    return status, out, err


@pytest.mark.parametrize("name, content, words", [
    ("missing.py", None, ("there is no program",)), ("folder", "", ("is a folder",)),
    ("bytes.py", b"\xff\xfe\x00", ("is not Python",)),
    ("half.py", b"for x in", ("is not Python", "half.py:1")),
    ("null.py", b"x = 1\0", ("is not Python",)), ("latin.py", b"x = '\xe4'", ("is not Python",))])
def test_what_is_no_program(tmp_path: Path, capsys: Out, name: str, content: bytes | str | None,
                            words: tuple[str, ...]) -> None:
    path = tmp_path / name
    if content == "":
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    status, out, err = told(capsys, "-n", 2, path)
    assert status == 2 and not out and err.count("\n") == 1 and all(word in err for word in words), err


@pytest.mark.parametrize("options, word", [
    (["-n", 0], "1 or more"), (["-n", "two"], "invalid int"), (["--timeout", "soon"], "seconds"),
    (["--clock", "fast"], "alpha=5e-6"), (["--clock", "alpha=-1,beta=0"], "0 or more"),
    (["--any-source", "last"], "seed=N"), (["--races", 1], "2 or more"), ([], "program")])
def test_options_that_cannot_be(tmp_path: Path, capsys: Out, options: list[object], word: str) -> None:
    program = tmp_path / "program.py"
    program.write_text("print('never')")
    status, out, err = told(capsys, *options, *[program] * bool(options))
    assert status == 2 and not out and err.count("\n") == 1 and word in err, err


@pytest.mark.parametrize("source, status, words", [
    ("import sys; sys.exit(3)", 3, ("left with status 3",)), ("import sys; sys.exit(0)", 0, ()),
    ("import sys; sys.exit('no data')", 1, ("no data",)),
    ("raise ValueError('at import')", 1, ("ValueError", "program.py")),
    ("from mpi4py.futures import MPIPoolExecutor", 2, ("program.py:3", "mpi4py.futures is not offered")),
    ("try: import mpi4py.util.pkl5\nexcept ImportError: print('without it')", 0, ()),
    ("import mpi4py; mpi4py.rc.initialize = False; MPI.Init(); MPI.Init_thread()", 2,
     ("initialized already",)),
    ("import mpi4py.rc; assert mpi4py.rc.threads; mpi4py.rc.thread = 1", 1,
     ("unexpected attribute 'thread'",)),
    ("import sys; assert sys.stdin.isatty() in (False, True)", 0,
     ()),     # as pydoc's help() asks on every rank
    ("assert MPI.Win.Allocate_shared(8).Shared_query(0)[1] == 1", 0, ()),   # COMM_SELF, as in mpi4py
    ("assert comm.group.Range_incl([(0, comm.size / 2, 1.0)]).size == 2", 0, ()),
    ("comm.group.Range_incl([(0, 0.5, 1)])", 1, ("whole number", "//")),
    ("import nothing_of_this_name", 1, ("nothing_of_this_name",)),
    ("MPI.COMM_WORLD.Abort(5)", 5, ("status 5",)),
    ("if comm.rank == 1: input()", 2, ("rank 1 reads standard input", "bcast")),
    ("comm.Mprobe()", 2, ("Mprobe at program.py:3", "Probe and then Recv")),
    ("MPI.File", 2, ("files are not offered",)), ("MPI.Session.Init()", 2, ("sessions are not offered",)),
    ("comm.Detach_buffer()", 2, ("MPI.Attach_buffer",)), ("MPI.Request().handle", 2, ("handles",)),
    ("comm.nothing", 1, ("AttributeError",)), ("MPI.Finalize(); comm.rank", 2, ("after MPI.Finalize",)),
    ("import threading; t = threading.Thread(target=print, args=('fine',)); t.start(); t.join()", 0, ()),
    ("def f(x): return x\nfrom multiprocessing.reduction import ForkingPickler\n"
     "from concurrent.futures import ThreadPoolExecutor\n"            # Pool.map, too, pickles in another thread
     "with ThreadPoolExecutor() as pool: pool.submit(ForkingPickler.dumps, f).result()\n"
     "comm.Barrier()", 2,         # both ranks are there when a thread that is no rank looks for __main__.f
     ("process pool at program.py:6", "mpirun")),
    ("import pickle; pickle.loads(b'c__main__\\nnothing\\n.')", 1, ("AttributeError",)),
    ("comm.send(1, dest=2)", 2, ("rank 2", "ranks 0 to 1"))])
def test_what_programs_do(
    tmp_path: Path, capsys: Out, source: str, status: int, words: tuple[str, ...]
) -> None:
    program = tmp_path / "program.py"
    program.write_text(f"from mpi4py import MPI\ncomm = MPI.COMM_WORLD\n{source}\n")
    found, _, err = told(capsys, "-n", 2, program)
    assert found == status and all(word in err for word in words), err


def test_ranks_have_their_own_globals(tmp_path: Path, capsys: Out) -> None:
    """Modules beside the program, sys.argv, random numbers, classes in pickles: each rank's own."""
    (tmp_path / "beside.py").write_text("from mpi4py import MPI\nvalue = [MPI.COMM_WORLD.rank]\n")
    program = tmp_path / "program.py"
    program.write_text("""
import random, sys
from dataclasses import dataclass
import numpy as np
from mpi4py import MPI
import beside
comm = MPI.COMM_WORLD
@dataclass
class Point:
    x: int
beside.value.append(7)
sys.argv.append(str(comm.rank))
random.seed(comm.rank); np.random.seed(comm.rank)
comm.Barrier()
numbers = comm.allgather((random.random(), np.random.rand()))
points = comm.allgather(Point(comm.rank))
assert all(type(point) is Point for point in points), points
assert len(set(numbers)) == comm.size and beside.value == [comm.rank, 7] and sys.argv[1:] == ["a", str(comm.rank)]
again = random.Random(comm.rank).random(), np.random.RandomState(comm.rank).rand()
assert numbers[comm.rank] == again
print("fine")
""")
    before = sys.modules["__main__"], list(sys.argv)
    status, out, err = told(capsys, "-n", 3, program, "a")
    assert (status, out, err) == (0, "fine\n" * 3, "")
    assert (sys.modules["__main__"], sys.argv) == before and "beside" not in sys.modules


def test_lines_stay_whole_and_labelled(tmp_path: Path, capsys: Out) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from mpi4py import MPI\nfor i in range(50): print('a', i, 'b', MPI.COMM_WORLD.rank, sep='-')\n"
        "print('end', end='')"
    )
    status, out, _ = told(capsys, "-n", 3, "--label", program)
    lines = out.splitlines()
    assert status == 0 and len(lines) == 153
    assert [line for line in lines if line.startswith("[1] ")] == [f"[1] a-{i}-b-1" for i in range(50)] + [
        "[1] end"
    ]
