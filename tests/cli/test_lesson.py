"""`minipar lesson`: the list, a run by number or name, and mistakes as one line."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

import minipar
from minipar.cli.lesson import entries, find, lessons_folder
from minipar.errors import ConfigError
from tests.commands import call, command, finished, refused
from tests.ranks import mpirun

ROW = "| [Sums: of numbers](01_sums.py) | they add up | 30 min | 1 | 2.5 | 0.5 | 000: 4.1 | F1 |\n"
SCRIPT = """
import sys
class Said:
    say = staticmethod(print)
lesson = Said()
print(sys.argv)
"""


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of lessons beside a package, in place of the real ones."""
    folder = tmp_path / "lessons"
    (folder / "support").mkdir(parents=True)
    (folder / "support" / "lesson.py").touch()
    for name, text in {"README.md": ROW, "01_sums.py": SCRIPT, "alone.py": SCRIPT}.items():
        (folder / name).write_text(text)
    monkeypatch.setattr(minipar, "__file__", str(tmp_path / "minipar" / "__init__.py"))
    monkeypatch.setattr(sys, "argv", ["minipar"])
    return folder


def test_the_list_has_every_lesson(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("lesson", "list") == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["lesson", "core", "path", "ranks", "seconds", "--fast"]
    numbers = [row.split()[0] for row in rows if not row.startswith(" ")]
    assert numbers == [entry.number for entry in entries(lessons_folder())]
    assert numbers[0] == "0" and numbers[numbers.index("13") - 1] == "collectives"
    assert all(len(row) <= 80 for row in rows)


def test_a_row_of_the_list(planted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("lesson", "list") == 0
    row = capsys.readouterr().out.splitlines()[1]
    assert re.split(" {2,}", row) == ["1", "Sums: of numbers", "30 min", "1", "2.5", "0.5"]
    assert [entry.number for entry in entries(planted)] == ["1"]


@pytest.mark.parametrize("wanted, name", [("1", "01_sums"), ("01", "01_sums"), ("01_sums", "01_sums"),
                                          ("alone", "alone")])
def test_a_lesson_by_number_or_name(wanted: str, name: str, planted: Path,
                                    capsys: pytest.CaptureFixture[str]) -> None:
    assert find(planted, wanted) == name
    assert call("lesson", "run", wanted, "--fast", "--out", "here") == 0
    said, end = capsys.readouterr().out.splitlines()
    assert said == str([str(planted / f"{name}.py"), "--fast", "here"])
    assert end.startswith(f"lesson {wanted} ran to its end in ") and end.endswith("its pictures are in here")


@pytest.mark.parametrize("wanted", ["2", "", "0", "__init__", "../01_sums", "01_sums.py"])
def test_no_such_lesson(wanted: str, planted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"there is no lesson {wanted!r}; minipar lesson list" in refused(capsys, "lesson", "run", wanted)


def test_no_lessons_at_all(planted: Path, capsys: pytest.CaptureFixture[str],
                           monkeypatch: pytest.MonkeyPatch) -> None:
    (planted / "support" / "lesson.py").unlink()
    monkeypatch.chdir(planted)
    for action in (["list"], ["run", "1"]):
        said = refused(capsys, "lesson", *action)
        assert f"there are no lessons in {planted}, nor in {planted / 'lessons'}; run this where" in said


def test_lessons_of_the_current_folder(planted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the package is installed and the sources are not beside it."""
    monkeypatch.setattr(minipar, "__file__", "/elsewhere/minipar/__init__.py")
    monkeypatch.chdir(planted.parent)
    assert lessons_folder() == planted
    (planted / "README.md").unlink()
    with pytest.raises(ConfigError, match="README.md cannot be read: No such file"):
        entries(planted)


@pytest.mark.parametrize("table, said", [
    (b"| [Sums](01_sums.py) | one cell |\n", "line 1"),
    (ROW.encode() * 2 + b"| [Sums] | " + b"x | " * 7, "line 3"),
    (b"| [Sums](01_sums.txt) |" + b" x |" * 7, "line 1"),
    (b"| [Sums](../../sums.py) |" + b" x |" * 7, "line 1"), (b"| [" + b"(" * 100_000, "line 1"),
    (ROW.encode() + b"\xff", "not UTF-8"), (b"\n" * (1 << 21), "more than"),
    (b"| [\x1b]0;title\x07](\xc2\x9b.py)\n", "line 1"),
], ids=["cells", "no link", "suffix", "folder", "brackets", "encoding", "size", "terminal"])
def test_a_table_that_cannot_be_read_is_one_line(table: bytes, said: str, planted: Path,
                                                 capsys: pytest.CaptureFixture[str]) -> None:
    (planted / "README.md").write_bytes(table)
    assert said in refused(capsys, "lesson", "list")


def test_a_table_that_is_no_file_is_refused_at_once(
    planted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (planted / "README.md").unlink()
    (planted / "README.md").symlink_to("/dev/zero")
    assert "not a regular file" in refused(capsys, "lesson", "list")
    (planted / "README.md").unlink()
    os.mkfifo(planted / "README.md")
    assert "not a regular file" in refused(capsys, "lesson", "list")


def test_a_lesson_that_cannot_be_read_is_one_line(planted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lesson = planted / "01_sums.py"
    lesson.write_bytes(b"print('\xff')\n")
    assert "not UTF-8" in refused(capsys, "lesson", "run", "1")
    lesson.unlink()
    os.mkfifo(lesson)
    assert "not a regular file" in refused(capsys, "lesson", "run", "1")
    lesson.unlink()
    lesson.symlink_to("nowhere")
    assert "cannot be read" in refused(capsys, "lesson", "run", "1")


def test_what_a_terminal_would_obey_is_escaped(planted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (planted / "README.md").write_text(ROW.replace("numbers", "\x1b[2J"))
    assert call("lesson", "list") == 0
    assert "\\x1b[2J" in capsys.readouterr().out


def test_a_real_lesson_as_a_command(tmp_path: Path) -> None:
    done = finished("lesson", "run", "4", "--fast", "--out", tmp_path)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert done.stdout.splitlines()[-1].startswith("lesson 4 ran to its end") and str(tmp_path) in done.stdout
    assert (tmp_path / "04_memory_ledger.png").stat().st_size > 10_000


@pytest.mark.mpi
def test_a_lesson_on_the_ranks_of_mpirun(tmp_path: Path) -> None:
    job = mpirun(2, command("lesson", "run", "14", "--out", tmp_path), limit=60)
    assert job.returncode == 0 and job.stdout.count("lesson 14 ran to its end") == 1, job.stdout
    assert (tmp_path / "14_tensor_parallel.png").exists()
