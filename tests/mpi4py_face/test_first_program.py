"""A first program, plain mpi4py, runs as it is on threads and under mpirun."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands import call
from tests.mpi4py_face.running import as_processes

PROGRAM = """
import sys
from mpi4py import MPI
import numpy as np
comm = MPI.COMM_WORLD
rank, size = comm.Get_rank(), comm.Get_size()
ring = np.empty(2)
comm.Sendrecv([np.full(2, float(rank)), MPI.DOUBLE], dest=(rank + 1) % size, recvbuf=ring, source=(rank - 1) % size)
total = np.empty(2)
comm.Allreduce(ring, total, op=MPI.SUM)
status = MPI.Status()
if rank:
    comm.send({"rank": rank}, dest=0, tag=rank)
else:
    came = [comm.recv(source=MPI.ANY_SOURCE, tag=MPI.ANY_TAG, status=status)["rank"] for _ in range(1, size)]
    assert sorted(came) == list(range(1, size)) and (size == 1 or status.Get_source() == came[-1] == status.Get_tag())
print(sys.argv[1:], rank, size, ring.tolist(), total.tolist(), comm.bcast("hello" if rank == 0 else None))
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "first.py"
    path.write_text(PROGRAM)
    return path


def expected(size: int) -> list[str]:
    total = [float(sum(range(size)))] * 2
    return sorted(
        f"['a', '-b'] {rank} {size} {[float((rank - 1) % size)] * 2} {total} hello" for rank in range(size)
    )


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_on_threads(program: Path, capsys: pytest.CaptureFixture[str], size: int) -> None:
    assert call("run", "-n", size, program, "a", "-b") == 0
    assert sorted(capsys.readouterr().out.splitlines()) == expected(size)


@pytest.mark.mpi
def test_under_mpirun(program: Path) -> None:
    job = as_processes(3, program, "a", "-b")
    assert job.returncode == 0, job.stderr
    assert sorted(job.stdout.splitlines()) == expected(3)


def test_a_file_of_the_folder_does_not_replace_a_part_of_a_library(tmp_path: Path) -> None:
    (tmp_path / "util.py").write_text("raise SystemExit('this is not wsgiref.util')")
    program = tmp_path / "program.py"
    program.write_text(
        "from mpi4py import MPI\nimport wsgiref.util\nassert wsgiref.util.is_hop_by_hop('te')\n"
    )
    assert call("run", "-n", 2, program) == 0
