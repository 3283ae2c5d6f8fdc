"""The output of a command fits a terminal of 80 columns."""

from __future__ import annotations

import pytest

from minipar.cli import doctor
from minipar.cli.screen import hanging
from minipar.doctor.findings import HealthFinding
from minipar.schedules.generators import SCHEDULES
from tests.commands import call

LONG = "a text that is longer than one line of a terminal, so that it goes on in a second line and in a third one"
SHOWN = [*(f"schedule {action} {name}" for action in ("show", "simulate", "lint")
           for name in SCHEDULES), "schedule show zb-h1 --ranks 16 --micro-batches 64", "mutants --list",
         "lesson list", "exercise list"]


@pytest.mark.parametrize("words", SHOWN)
def test_a_command_prints_lines_of_at_most_80_columns(words: str, capsys: pytest.CaptureFixture[str],
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert call(*words.split()) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if len(line) > 80] == []


def test_the_doctor_wraps_a_finding_and_keeps_a_command_whole(capsys: pytest.CaptureFixture[str],
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    command = "minipar launch -n 2 COMMAND, or export OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 MKL_NUM_THREADS=1"
    monkeypatch.setattr(doctor, "check_up", lambda host: [HealthFinding("note", "cores", LONG, command)])
    assert call("doctor") == 0
    *text, remedy = capsys.readouterr().out.splitlines()
    assert max(map(len, text)) <= 80 and remedy.endswith(command)


def test_lines_after_the_first_stand_below_the_text() -> None:
    first, *others = hanging("head  ", LONG).splitlines()
    assert first.startswith("head  a text") and len(first) <= 80
    assert others and all(line.startswith("      ") and len(line) <= 80 for line in others)
