"""A hostile folder of a class costs only its own points, and the files of grades stay valid."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
from multiprocessing import get_context
from pathlib import Path
from xml.etree import ElementTree

import pytest

from minipar.exercises import formats, whole_class
from minipar.exercises.catalogue import exercises_folder, find
from minipar.exercises.diagnose import Diagnosis
from minipar.exercises.exercise import LIGHTS
from minipar.exercises.grade import Grade
from minipar.exercises.light import Light, Verdict, off
from minipar.exercises.shown import shown
from minipar.exercises.whole_class import Assignment, grades
from tests.commands import call, refused

NAME = "softmax_backward"                                           # its check needs one process
EXERCISE = find(NAME)
RIGHT = EXERCISE.text("solution.py")
STEALS = f'''
import os
path = os.path.join(os.path.dirname(os.path.dirname(__file__)), "bob", "{NAME}.py")
exec(open(path).read())
'''
ODD_NAMES = ("a\nbob  100", "a\x1b[2Jb", "=1+1", "\u202eevil", os.fsdecode(b"\xff\xfe"), "<&\"'>]]>", "-x", "ann\tann", "\ufffe")


def hand_in(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / EXERCISE.file).write_text(text)
    return folder


def test_links_and_files_of_others_earn_nothing(tmp_path: Path) -> None:
    """ann links to the solution, bob is right, cat reads bob's file, dan has a pipe, eve a folder, finn a link in a folder."""
    bob, cat = hand_in(tmp_path / "bob", RIGHT), hand_in(tmp_path / "cat", STEALS)
    ann, dan, eve, finn = (tmp_path / name for name in ("ann", "dan", "eve", "finn"))
    for folder in (ann, dan, eve, finn):
        folder.mkdir()
    (ann / EXERCISE.file).symlink_to(EXERCISE.folder / "solution.py")
    os.mkfifo(dan / EXERCISE.file)
    (eve / EXERCISE.file).mkdir()
    (finn / NAME).symlink_to(bob)
    found = {one.student: one for one in grades(Assignment([ann, bob, cat, dan, eve, finn], [NAME], jobs=1))}
    assert {name: one.score for name, one in found.items()} == {
        "ann": 0, "bob": 1, "cat": 0, "dan": 0, "eve": 0, "finn": 0}
    for name, words in (("ann", "link"), ("cat", "reading"), ("dan", "pipe"), ("eve", "folder"), ("finn", "link")):
        assert words in found[name].verdict.lights[0].diagnosis, name


def ends_the_process(one: whole_class.SubmittedFile) -> Grade:
    if one.student == "ann":
        os._exit(3)
    return whole_class._without_points(one, "graded", "")


def test_a_process_of_the_grader_that_ends_costs_its_submission_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The processes are forks, since they start faster than those of `spawn`."""
    folders = [hand_in(tmp_path / name, RIGHT) for name in ("abe", "ann", "bob", "cat")]
    monkeypatch.setattr(whole_class, "_graded", ends_the_process)
    monkeypatch.setattr(whole_class, "get_context", lambda method: get_context("fork"))
    said = [one.verdict.lights[0].diagnosis for one in grades(Assignment(folders, [NAME], jobs=2))]
    assert said[0] == said[2] == said[3] == "graded" and "ended" in said[1]


def test_an_error_of_the_grader_costs_its_submission_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(path: Path, *rest: object) -> Grade:
        raise RecursionError("too deep\x1b")

    monkeypatch.setattr(whole_class, "graded", fails)
    found, = grades(Assignment([hand_in(tmp_path / "ann", RIGHT)], [NAME]))
    assert "RecursionError" in found.verdict.lights[0].diagnosis and found.score == 0


def odd_grades() -> list[Grade]:
    """Return grades of students with odd names. A submission has written their texts."""
    texts = [name * 3 for name in ODD_NAMES] + ["x" * 10**6, "\x00", "\ud800"]
    return [Grade(shown(name), NAME, 1, 0, Verdict((
        off("runs", Diagnosis(text, text), text), *(Light(one, "dark") for one in LIGHTS[1:]))))
        for name in ODD_NAMES for text in texts]


def test_every_format_is_valid_with_odd_names_and_diagnoses() -> None:
    all_grades = odd_grades()
    count = len(all_grades)
    for name, text in formats.FORMATS.items():
        written = text(all_grades)
        assert written.encode().decode() == written and "\x1b" not in written, name
        assert max(map(len, written.splitlines())) < 3_000 or name == "classroom", "a diagnosis is shortened"
    assert len(json.loads(formats.as_json(all_grades))) == count
    assert len(list(csv.DictReader(io.StringIO(formats.as_csv(all_grades))))) == count
    assert len(ElementTree.fromstring(formats.as_junit(all_grades).encode())) == count
    for plain in (json.loads(base64.b64decode(formats.as_classroom(all_grades))),
                  json.loads(formats.as_gradescope(all_grades))):
        assert len(plain["tests"]) == 5 * count and json.dumps(plain, ensure_ascii=False).encode()
    assert len({one.student for one in all_grades}) == len(ODD_NAMES), "two students stay two"
    assert all(one.student.isprintable() for one in all_grades)


def test_odd_folders_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One folder has a file. The others have none, so that no process needs to start."""
    folders = [hand_in(tmp_path / ODD_NAMES[4], ""), *(tmp_path / name for name in ODD_NAMES if name[0] not in "-\udcff")]
    for folder in folders[1:]:
        folder.mkdir()
    assert call("exercise", "grade", *folders, "--exercise", NAME, "--jobs", "1", "--csv", tmp_path / "g.csv") == 0
    out, err = capsys.readouterr()
    assert err == "" and sum(NAME in line for line in out.splitlines()) >= len(folders)
    assert out.replace("\n", "").isprintable() and (tmp_path / "g.csv").read_text().count(NAME) >= len(folders)


@pytest.mark.parametrize("option, value", [
    ("--limit", "nan"), ("--limit", "inf"), ("--limit", "0"), ("--limit", "-1"), ("--limit", "1e400"), ("--jobs", "0"),
    ("--jobs", "-2"), ("--jobs", "1e3"), ("--seed", "-1"), ("--seed", "x"), ("--seed", "9" * 5000)])
def test_odd_options_end_in_one_line(
    option: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hand_in(tmp_path / "ann", RIGHT)
    assert "ann" not in refused(capsys, "exercise", "grade", tmp_path / "ann", f"{option}={value}")


def test_grades_replace_no_device(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The test has links to devices, so that a mistake of minipar replaces only a link."""
    hand_in(tmp_path / "ann", RIGHT)
    for option, device in (("--json", "null"), ("--csv", "full")):
        path = tmp_path / device
        path.symlink_to(f"/dev/{device}")
        assert "not a regular file" in refused(capsys, "exercise", "grade", tmp_path / "ann", option, path)
        assert path.is_symlink()


def test_the_seed_of_a_class_is_new_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All students have the same inputs, which none of them can know before."""
    folders = [tmp_path / name for name in ("ann", "bob")]
    for folder in folders:
        folder.mkdir()
    seeds = []
    for words in ((), (), ("--seed", "7")):
        assert call("exercise", "grade", *folders, "--exercise", NAME, "--jobs", "1", "--json", tmp_path / "g.json", *words) == 0
        told = {one["seed"] for one in json.loads((tmp_path / "g.json").read_text())}
        assert len(told) == 1 and f"--seed {min(told)}" in capsys.readouterr().out
        seeds.append(min(told))
    assert seeds[0] != seeds[1] and seeds[2] == 7


def test_two_folders_of_one_name_are_two_students(tmp_path: Path) -> None:
    folders = [tmp_path / week / name for week in ("week1", "week2") for name in ("ann", "bob")][:3]
    for folder in folders:
        folder.parent.mkdir(exist_ok=True)
        hand_in(folder, RIGHT)
    students = [one.student for one in whole_class._work(Assignment(folders, [NAME]))]
    assert students[1] == "bob" and [Path(one) for one in (students[0], students[2])] == [folders[0], folders[2]]


def test_two_formats_need_two_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hand_in(tmp_path / "ann", RIGHT)
    same = (f"--json={tmp_path / 'g'}", f"--csv={tmp_path / 'ann' / '..' / 'g'}")
    assert "same file" in refused(capsys, "exercise", "grade", tmp_path / "ann", *same)


def test_a_class_beside_the_exercises_may_be_graded() -> None:
    """A folder that contains the others is not hidden from them."""
    root = exercises_folder()
    work = list(whole_class._work(Assignment([root, root / "01_ranks_and_messages"], [NAME])))
    assert [len(one.hidden) for one in work] == [1, 0]
