"""Files of a student's folder that are no text files: each command ends at once, with one clear line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from minipar.classroom.notebook import notebook
from minipar.cli import main
from minipar.errors import ConfigError
from minipar.exercises.bug import answer_path
from minipar.exercises.catalogue import find, folders
from minipar.exercises.exercise import wrong_answer
from minipar.exercises.grade import graded
from minipar.exercises.workplace import find_answer, start
from minipar.untrusted.text import read_text
from tests import refusals
from tests.commands import call, refused

NAME = "average_or_sum"
GIB = 1 << 30


def sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, GIB)


# how the file is made, a key word of the message, and the kind of the error
BadFile = tuple[Callable[[Path], object], str, str]
BAD: dict[str, BadFile] = {
    "folder": (Path.mkdir, "is a folder", "folder"),
    "pipe": (os.mkfifo, "pipe", "not a file"),
    "/dev/zero": (lambda path: path.symlink_to("/dev/zero"), "device", "not a file"),
    "not UTF-8": (lambda path: path.write_bytes(b"x = '\xff'"), "UTF-8", "not UTF-8"),
    "1 GB": (sparse, "bytes", "too large"),
}


@pytest.fixture(params=BAD)
def bad(request: pytest.FixtureRequest) -> BadFile:
    return BAD[request.param]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("exercises")


def replaced(path: Path, bad: Callable[[Path], object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    bad(path)


def test_a_state_file(folder: Path, capsys: pytest.CaptureFixture[str],
                      bad: BadFile) -> None:
    replaced(folder / "progress.json", bad[0])
    for words in (["list"], ["next"], ["progress"], ["start", NAME], ["hint", NAME], ["solution", NAME],
                  ["check", NAME]):
        assert bad[1] in refused(capsys, "exercise", *words)


def test_an_answer_file(folder: Path, capsys: pytest.CaptureFixture[str],
                        bad: BadFile) -> None:
    path = folder / NAME / f"{NAME}.py"
    replaced(path, bad[0])
    for command in ("check", "watch"):
        assert bad[1] in refused(capsys, "exercise", command, NAME, "--threads")
    light = graded(path, "student", find(NAME)).verdict.first_off
    assert light is not None and light.name == "runs" and bad[1] in light.diagnosis
    assert call("exercise", "start", NAME) == 0 and path.exists()


def test_the_line_and_the_reason_of_a_bug(folder: Path, capsys: pytest.CaptureFixture[str],
                                          bad: BadFile) -> None:
    one = find("the_row_bias")
    path, _ = start(one, folder)
    replaced(answer_path(path), bad[0])
    assert bad[1] in refused(capsys, "exercise", "check", one.name)
    light = graded(path, "student", one).verdict.first_off
    assert light is not None and bad[1] in light.diagnosis


def test_a_file_of_an_exercise(tmp_path: Path, bad: BadFile) -> None:
    """The stub, the hints, the driver, a wrong answer, the order of a chapter."""
    one = find(NAME)
    one.folder = tmp_path / "04_x" / "y"
    for name in ("stub.py", "hints.md", "driver.py", "wrong/one.py"):
        replaced(one.folder / name, bad[0])
    for read in (lambda: one.text("stub.py"), lambda: one.hints, one.driver,
                 lambda: wrong_answer(one.folder / "wrong" / "one.py")):
        with refusals.refused(ConfigError, kind=bad[2]):
            read()
    replaced(tmp_path / "04_x" / "ORDER", bad[0])
    with refusals.refused(ConfigError, kind=bad[2]):
        folders(tmp_path)


def test_a_lesson_as_a_notebook(tmp_path: Path, bad: BadFile) -> None:
    class Lesson:
        path = tmp_path / "lesson.py"

    replaced(Lesson.path, bad[0])
    with refusals.refused(ConfigError, kind=bad[2]):
        notebook(Lesson())  # type: ignore[arg-type]


@pytest.mark.parametrize("entry", [
    {"state": "x"}, {"checks": "1"}, {"checks": -1}, {"hints": None}, {"version": 1.5}, {"lights": []},
    {"best": "1"}, {"prediction": 1}, {"prediction": {}}, {"passed_at": 3}, [], 1, None])
def test_a_state_file_of_other_types(folder: Path, capsys: pytest.CaptureFixture[str], entry: object) -> None:
    folder.mkdir()
    (folder / "progress.json").write_text(json.dumps({"current": NAME, "exercises": {NAME: entry}}))
    assert "progress.json" in refused(capsys, "exercise", "list")


def test_ends_of_lines_are_one_and_a_missing_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x\r\ny\rz\n")
    assert read_text(tmp_path / "a", 100, ConfigError) == "x\ny\nz\n"
    with pytest.raises(ConfigError, match="No such file"):
        read_text(tmp_path / "b", 100, ConfigError)


def test_nothing_was_written(folder: Path) -> None:
    """A refused command leaves no folder."""
    assert main(["exercise", "check", NAME]) == 2 and not folder.exists()


def test_a_check_inside_the_folder_of_the_exercises_is_told_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(find(NAME), tmp_path / "exercises")
    monkeypatch.chdir(tmp_path / "exercises")
    with pytest.raises(ConfigError, match="folder above"):
        find_answer(find(NAME), Path("exercises"))
    monkeypatch.chdir(tmp_path)
    assert find_answer(find(NAME), Path("exercises")).exists()
