"""SCHEDULES.md tells what the simulator and the linter find."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from minipar import schedules as package
from minipar.schedules.footprint import peak_activations
from minipar.schedules.generators import SCHEDULES, make_schedule
from minipar.schedules.lint import lint
from minipar.schedules.simulate import simulate

PAGE = (Path(package.__path__[0]) / "SCHEDULES.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines()
        if line.startswith("| ")][1:]


def test_every_training_schedule_has_its_row() -> None:
    assert [row[0] for row in ROWS] == [name for name in SCHEDULES if name != "inference"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row(row: list[str]) -> None:
    name, _, _, makespan, bubble, over_span, peaks, synchronous = row
    schedule = make_schedule(name, 4, 8)
    virtual, timeline = schedule.stages // 4, simulate(schedule)
    found = [Fraction(timeline.makespan, virtual), timeline.bubble(), timeline.bubble(over="span")]  # type: ignore[arg-type]
    assert [str(value) for value in found] == [makespan, bubble, over_span]
    assert " ".join(str(Fraction(peak, virtual)) for peak in peak_activations(schedule)) == peaks  # type: ignore[arg-type]
    assert {"safe": True, "deadlock": False}[synchronous] == lint(schedule).safe_sync
