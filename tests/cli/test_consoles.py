"""A console that is closed, full, unread or hung up changes no result of a command: its files are complete,
and its exit status shows that output is lost.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from minipar.console import LOST, Console, consoles
from tests.cli.consoles import COMMANDS
from tests.commands import command
from tests.ranks import ROOT
from tests.tiny import options

Case = dict[str, Any]
RIGHT = {"a mistake": 2}  # exit status on a good console, where it is not 0


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str, str], Case]:
    folder = tmp_path_factory.mktemp("consoles")
    line = [sys.executable, "-W", "error", "-m", "tests.cli.consoles", str(folder)]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=300,
                          env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    found = [
        json.loads(row.removeprefix("case ")) for row in done.stdout.splitlines() if row.startswith("case ")
    ]
    return {(case["command"], case["how"], case["stream"]): case for case in found}


@pytest.mark.parametrize("name", COMMANDS)
def test_no_broken_console_changes_what_a_command_does(
    name: str, cases: dict[tuple[str, str, str], Case]
) -> None:
    good = cases[name, "none", "both"]
    assert good["status"] == RIGHT.get(name, 0) and "Traceback" not in good["err"]
    assert {tuple(case["left"]) for key, case in cases.items() if key[0] == name} == {()}   # temporary files
    broken = [case for (command, how, _), case in cases.items() if command == name and how != "none"]
    assert len(broken) >= 2
    for case in broken:
        lost = good["out"] and case["stream"] != "stderr"           # only results count, not progress
        expected = good["status"] or (lost and (141 if case["how"] == "unread" else LOST)) or 0
        assert case["status"] == expected, case
        assert (
            case["files"] == good["files"]
            and "Traceback" not in case["err"]
            and "Exception" not in case["err"]
        ), case
        if case["stream"] == "stdout" and expected == LOST:
            assert (
                case["err"].splitlines()[-1].startswith("minipar")
                and "stdout cannot be written" in case["err"]
            ), case
        if case["stream"] == "stderr" and good["out"]:
            assert case["out"].splitlines()[:1] == good["out"].splitlines()[:1], case


@pytest.mark.parametrize("broken, status", [("2>/dev/full", 0), ("<&- >&- 2>&-", LOST)])
def test_a_shell_that_breaks_the_console(broken: str, status: int, tmp_path: Path) -> None:
    """The same from outside, with Python's own start and end."""
    words = command("train", *options(tmp_path, steps=2), "--out", tmp_path / "run")
    done = in_shell(broken, words)
    assert done.returncode == status and "Traceback" not in done.stderr
    assert {"loss.png", "summary.txt"} <= {path.name for path in (tmp_path / "run").iterdir()}


def test_a_shell_whose_disk_is_full(tmp_path: Path) -> None:
    """With the quickest command: Python's end is the same for all."""
    done = in_shell(">/dev/full", command("schedule", "show", "1f1b", "--json", tmp_path / "mine.json"))
    assert (
        done.returncode == LOST
        and "Traceback" not in done.stderr
        and "stdout cannot be written" in done.stderr
    )
    assert json.loads((tmp_path / "mine.json").read_text())


def in_shell(broken: str, words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", f'"$@" {broken}', "sh", *words], capture_output=True, text=True, timeout=60
    )


class Failing:
    """A stream that fails as it is told to."""

    encoding = "utf-8"

    def __init__(self, error: Exception) -> None:
        self.error = error

    def write(self, text: str) -> int:
        raise self.error

    def flush(self) -> None:
        raise self.error


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), BrokenPipeError(32, "Broken pipe"),
                                   OSError(5, "Input/output error"),
                                   ValueError("I/O operation on closed file")])
def test_a_stream_that_fails(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Failing(error))
    with consoles() as (out, err):
        print("lost")
    assert isinstance(out.lost, OSError) and err.lost is None and isinstance(sys.stdout, Failing)


def test_what_a_terminal_cannot_show_is_replaced(capsys: pytest.CaptureFixture[str]) -> None:
    class Ascii:
        def write(self, text: str) -> int:
            return sys.__stdout__.write(text.encode("ascii").decode()) if sys.__stdout__ else 0

        def flush(self) -> None: ...

    console = Console(Ascii(), 1)  # type: ignore[arg-type]
    assert console.write("caf\u00e9 \udcff") == 6 and console.lost is None
