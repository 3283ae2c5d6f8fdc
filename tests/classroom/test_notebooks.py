"""A lesson as a notebook: executed by a real kernel; and what the check of all notebooks sees."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from tests.classroom.notebooks import faults
from tests.ranks import ROOT


def test_a_notebook_runs_in_another_folder() -> None:
    """Lesson 0, with a command and %%ranks; all others: python -m tests.classroom.notebooks."""
    job = subprocess.run([sys.executable, "-m", "tests.classroom.notebooks", "0"], cwd=ROOT,
                         capture_output=True, text=True, check=False, timeout=240)
    assert job.returncode == 0 and "lesson 0: passed" in job.stdout, job.stdout + job.stderr


def cell(text: str, pictures: int = 0) -> Any:
    stream = SimpleNamespace(output_type="stream", text=text, get=lambda key, default: default)
    image = SimpleNamespace(output_type="display_data", get=lambda key, default: {"image/png": "..."})
    return SimpleNamespace(cell_type="code", source="x", outputs=[stream, *[image] * pictures])


@pytest.mark.parametrize("change, wrong", [
    ({}, []), ({0: cell("picture: a.png")}, ["1 pictures drawn, 0 shown"]),
    ({0: cell("picture: a.png\n", 2)}, ["1 pictures drawn, 2 shown"]), ({0: cell("")}, ["draws no picture"]),
    ({1: cell("no such command")}, ["no output of the command"]),
    ({3: cell("I am 0")}, ["not all ranks answer"])])
def test_what_a_notebook_lacks_is_listed(change: dict[int, Any], wrong: list[str]) -> None:
    cells = [cell("picture: a.png\n", 1), cell("bubble 3/11"), cell(""), cell("I am 0 I am 1 I am 2 I am 3")]
    for at, other in change.items():
        cells[at] = other
    found = faults(SimpleNamespace(cells=cells))
    assert len(found) == len(wrong) and all(word in line for word, line in zip(wrong, found, strict=True))
