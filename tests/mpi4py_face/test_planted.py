"""Each planted program in plain mpi4py ends by itself, fails, and says what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from minipar.comm.diagnostics.exit_report import first_diagnosis, last_words
from minipar.mpi4py_face.on_threads import run_on_threads
from minipar.mpi4py_face.options import RunOptions
from minipar.mpi4py_face.program import compiled
from tests.mpi4py_face.planted import PLANTED, Planted
from tests.mpi4py_face.running import as_processes


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.mistake)
def test_on_threads(planted: Planted) -> None:
    options = RunOptions(synchronous="--synchronous" in planted.options, timeout=10, quiet=True)
    ended = run_on_threads(compiled(planted.program, "program.py", "."), planted.ranks, options)
    assert ended.failure is not None
    rank, error = ended.failure
    told, status = last_words(first_diagnosis(error), max(rank, 0), planted.ranks)
    assert status and all(word in told for word in planted.words), told
    assert "''" not in told, "a call without a label shows none"


@pytest.mark.mpi
@pytest.mark.parametrize("number", [0, 22])
def test_under_mpirun(tmp_path: Path, number: int) -> None:
    planted = PLANTED[number]
    path = tmp_path / "program.py"
    path.write_text(planted.program)
    job = as_processes(planted.ranks, path, before=planted.options)
    assert job.returncode and all(word in job.stderr for word in planted.words), job.stderr
