"""The six programs that go wrong say what the page says of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.commands import call
from tests.ranks import ROOT

FOLDER = ROOT / "lessons" / "examples"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (FOLDER / "README.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| [wrong_")
]


def options(program: Path) -> list[str]:
    """Those that stand in the program's docstring, behind `minipar run`."""
    found = re.search(r"minipar run (.*?) ?wrong_\w+\.py", program.read_text(encoding="utf-8"))
    assert found is not None
    return found[1].split()


def test_six_rows() -> None:
    assert len(ROWS) == 6 == len(list(FOLDER.glob("wrong_*.py")))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[1])
def test_what_is_said(
    row: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(FOLDER)
    program = Path(re.findall(r"\((.*?)\)", row[0])[0])
    assert call("run", *options(program), program) in (1, 2)
    out, err = capsys.readouterr()
    told = " ".join((out + err).split())
    claims = [part.strip(" ,;") for quote in re.findall(r"`([^`]+)`", row[3]) for part in quote.split("...")]
    assert all(claim in told for claim in claims if not claim.startswith("--")), told


def test_the_line_is_that_of_the_receive_also_if_it_waits_for_a_late_sender(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The sender's thread finds the mistake then, but the line of the receiver is wanted."""
    source = (FOLDER / "wrong_type.py").read_text(encoding="utf-8")
    late = source.replace("    comm.Send(", "    import time; time.sleep(0.3)\n    comm.Send(")
    (tmp_path / "late.py").write_text(late, encoding="utf-8")
    line = 1 + next(number for number, text in enumerate(late.splitlines()) if "comm.Recv(" in text)
    assert call("run", "-n", 2, tmp_path / "late.py") in (1, 2)
    assert f"recv at late.py:{line} " in " ".join(capsys.readouterr().err.split())
