"""Variables that launchers and users leave in the environment may be empty, invalid or huge. They stop no
command, and cause at most one line.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest

from minipar.comm.job import ranks_started
from tests.commands import call, refused

SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")
NO_SIZE = ["", " ", "abc", "0", "-1", "1.5", "1e3", " 2", "2 ", "0x2", "\u0663", "9" * 30, "9" * 5000]
SHOW = ["schedule", "show", "naive", "--ranks", 1, "--micro-batches", 1]


@pytest.mark.parametrize("value", NO_SIZE, ids=lambda value: ascii(value[:12]))
@pytest.mark.parametrize("name", SIZES)
def test_what_is_no_size_is_no_launcher(name: str, value: str, monkeypatch: pytest.MonkeyPatch,
                                        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv(name, value)
    assert ranks_started(os.environ) is None and call(*SHOW) == 0 and capsys.readouterr().err == ""


@pytest.mark.parametrize("value", [*NO_SIZE, "0", "1", "3"], ids=lambda value: ascii(value[:12]))
@pytest.mark.parametrize(
    "name", ["PMI_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID", "MINIPAR_TIMEOUT", "MINIPAR_NONE"]
)
def test_what_a_command_does_not_need_does_not_matter(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    assert call(*SHOW) == 0 and capsys.readouterr().err == ""


@pytest.mark.parametrize("value", ["", "soon", "nan", "-1", "0", "\u2212" "5", "1h", "9" * 5000 + "s"],
                         ids=lambda value: ascii(value[:12]))
def test_a_timeout_that_is_no_number_is_one_short_line(value: str, monkeypatch: pytest.MonkeyPatch,
                                                       capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MINIPAR_TIMEOUT", value)
    said = refused(capsys, "generate", "--engine", "threads", "--run", "nowhere", "--prompt", "p")
    assert "MINIPAR_TIMEOUT is" in said and len(said) < 400


@pytest.mark.parametrize("tasks, lines", [("4", 1), ("1", 0), *((value, 0) for value in NO_SIZE)],
                         ids=lambda value: ascii(str(value)[:12]))
def test_slurm_is_told_of_once_where_it_started_several(
    tasks: str, lines: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLURM_NTASKS", tasks)
    assert call("generate", "--run", "nowhere", "--prompt", "p") == 2
    assert capsys.readouterr().err.count("SLURM_NTASKS is") == lines


def test_a_deleted_current_folder_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert "folder was deleted" in refused(capsys, "lesson", "list")


def test_a_memory_error_without_words_is_a_whole_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> NoReturn:
        raise MemoryError

    monkeypatch.setattr("minipar.cli.lesson.lessons_folder", full)
    assert "memory; choose" in refused(capsys, "lesson", "list")
