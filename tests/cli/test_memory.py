"""Which commands keep freed memory in the process."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands import call


@pytest.mark.parametrize("words, kept", [(("schedule", "show", "gpipe"), 1), (("run", "program.py"), 0)])
def test_run_leaves_the_memory_of_a_program_alone(words: tuple[str, ...], kept: int, tmp_path: Path,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr("minipar.cli.keep_freed_memory", lambda: calls.append(1))
    monkeypatch.chdir(tmp_path)
    Path("program.py").write_text("from mpi4py import MPI\n", encoding="utf-8")
    assert call(*words) == 0 and len(calls) == kept
