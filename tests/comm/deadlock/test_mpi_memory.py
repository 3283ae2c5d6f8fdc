"""Shared memory of an MPI library is removed only if no process uses it any more."""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from minipar.comm.deadlock import mpi_memory
from minipar.comm.deadlock.mpi_memory import orphaned_memory


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file with a name like those of MPICH, in a folder of its own."""
    monkeypatch.setattr(mpi_memory, "MPI_MEMORY", (f"{tmp_path}/mpich_shm_",))
    path = tmp_path / "mpich_shm_1_0"
    path.write_bytes(bytes(mmap.PAGESIZE))
    yield path


def test_a_file_that_no_process_uses(file: Path) -> None:
    (file.parent / "other").touch()
    assert orphaned_memory(time.time() - 10) == {str(file)}


def test_an_open_file(file: Path) -> None:
    with file.open("rb"):
        assert orphaned_memory(time.time() - 10) == set()


def test_a_mapped_file(file: Path) -> None:
    with file.open("r+b") as opened:
        mapped = mmap.mmap(opened.fileno(), 0)
    assert orphaned_memory(time.time() - 10) == set()
    mapped.close()
    assert orphaned_memory(time.time() - 10) == {str(file)}


def test_an_older_file(file: Path) -> None:
    os.utime(file, (0, 0))
    assert orphaned_memory(time.time() - 10) == set()
