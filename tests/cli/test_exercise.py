"""`minipar exercise`, as a student and a teacher use it."""

from __future__ import annotations

import base64
import csv
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from minipar.cli import main
from minipar.cli.exercise_cell import load_ipython_extension
from minipar.exercises.catalogue import every, exercises_folder, find
from minipar.exercises.progress import StudentProgress
from tests.commands import call, refused

NAME = "ring_reduce_scatter"
FOLDER = exercises_folder() / "02_collectives" / NAME


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, as a student has it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "exercises"


def said(capsys: pytest.CaptureFixture[str], *words: object, status: int = 0) -> str:
    capsys.readouterr()
    assert call("exercise", *words) == status
    out, err = capsys.readouterr()
    assert err == "" and all(len(line) <= 80 or " " not in line.strip() for line in out.splitlines()), out
    return out


def test_from_the_list_to_a_pass(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = said(capsys, "list")
    assert all(exercise.name in listed for exercise in every()) and "2 Collectives" in listed
    assert f"exercise start {every()[0].name}" in said(capsys, "next")
    assert "array_split" in said(capsys, "start", NAME)
    mine = work / NAME / f"{NAME}.py"
    assert mine.read_text() == (FOLDER / "stub.py").read_text() and (work / NAME / "task.md").is_file()

    out = said(capsys, "check", "--threads", status=1)              # of the exercise that was started
    assert "OFF  runs" in out and "write reduce_scatter" in out
    assert (
        "nudge" in said(capsys, "hint")
        and "formula" in said(capsys, "hint")
        and "outline" in said(capsys, "hint")
    )
    assert "outline" in said(capsys, "hint")                        # there is no fourth
    assert "after a pass" in refused(capsys, "exercise", "solution")

    mine.write_text((FOLDER / "solution.py").read_text())
    out = said(capsys, "check", "--threads")
    assert "Passed." in out and "Patarasuk" in out
    assert call("exercise", "solution") == 0 and "def reduce_scatter" in capsys.readouterr().out
    assert "passed" in said(capsys, "list") and "1 of" in said(capsys, "progress")
    state = json.loads((work / "progress.json").read_text())
    assert state["exercises"][NAME]["checks"] == 2 and state["exercises"][NAME]["hints"] == 3


def test_what_a_student_wrote_is_never_lost(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "start", NAME)
    mine = work / NAME / f"{NAME}.py"
    mine.write_text("mine = 1\n")
    assert "still" in said(capsys, "start", NAME) and mine.read_text() == "mine = 1\n"
    for kept in ("mine = 1\n", (FOLDER / "stub.py").read_text()):
        said(capsys, "reset")
        assert kept in [path.read_text() for path in mine.parent.glob("*.before*")]
    assert mine.read_text() == (FOLDER / "stub.py").read_text()


def test_prints_are_shown_by_rank(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "start", NAME)
    text = (
        (FOLDER / "solution.py").read_text().replace("    chunks =", "    print('I am', rank)\n    chunks =")
    )
    (work / NAME / f"{NAME}.py").write_text(text)
    out = said(capsys, "check", "--threads")
    assert all(f"rank {rank} | I am {rank}" in out for rank in range(3))


@pytest.mark.parametrize("words, expected", [
    (("start", "ring_reduce"), "did you mean"), (("start", "nothing_like_it_at_all"), "list"), (("check",), "name an exercise"),
    (("check", NAME), "start"), (("reset", NAME), "start"), (("grade", "nowhere"), "no folder"), (("grade", "."), "NAME.py")])
def test_mistakes_end_in_one_line(words: tuple[str, ...], expected: str, work: Path,
                                  capsys: pytest.CaptureFixture[str]) -> None:
    assert expected in refused(capsys, "exercise", *words)


def test_a_broken_state_file_is_named_and_left_alone(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "start", NAME)
    for text in ("{", "[]", '{"current": 1}', '{"current": "", "exercises": {"x": 3}}', "\x00"):
        (work / "progress.json").write_text(text)
        assert "progress.json" in refused(capsys, "exercise", "list")
        assert (work / "progress.json").read_text() == text


def test_a_pass_of_an_older_version_no_longer_counts(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exercise = find(NAME)
    said(capsys, "start", NAME)
    progress = StudentProgress(work)
    progress.entry(NAME).state, progress.entry(NAME).version = "passed", exercise.version
    assert progress.state(exercise) == "passed"
    exercise.version += 1
    assert progress.state(exercise) == "changed"


def test_a_prediction_is_kept_before_anything_is_shown(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exercise = next(exercise for exercise in every() if exercise.kind == "predict")
    said(capsys, "start", exercise.name)
    mine = work / exercise.name / exercise.file
    assert (
        "still None" in said(capsys, "check", status=1)
        and StudentProgress(work).entry(exercise.name).prediction is None
    )
    mine.write_text(exercise.text("stub.py").replace("= None", "= -1"))
    assert "0 of" in said(capsys, "check", status=1)
    mine.write_text(exercise.text("solution.py"))
    assert "0 of" in said(capsys, "check")                          # the first one counts
    assert StudentProgress(work).entry(exercise.name).prediction["right"] == 0


def test_a_long_prediction_does_not_make_the_state_file_too_large(work: Path) -> None:
    """The state file has a limit, above which it cannot be read any more."""
    progress, exercise = StudentProgress(work), next(one for one in every() if one.kind == "predict")
    progress.predicted(exercise, {"A": "\ud800" * 10**6}, {"A": "b"})
    progress.save()
    assert len(StudentProgress(work).entry(exercise.name).prediction["answers"]["A"]) < 5_000


def test_watch_checks_again_when_the_file_is_saved(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "start", NAME)
    mine = work / NAME / f"{NAME}.py"

    def save() -> None:
        time.sleep(2)
        mine.write_text((FOLDER / "solution.py").read_text())

    threading.Thread(target=save).start()
    out = said(capsys, "watch", "--threads")
    assert "OFF  runs" in out and out.rstrip().endswith("exercise next")


def test_a_class(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three students: one right, one too many bytes, one file that is missing."""
    for student, answer in (("ann", "solution.py"), ("bob", "wrong/sends_whole_array.py"), ("=cat", "")):
        (work / student).mkdir(parents=True)
        if answer:
            (work / student / f"{NAME}.py").write_text((FOLDER / answer).read_text())
    out = said(capsys, "grade", work / "ann", work / "bob", work / "=cat", "--exercise", NAME, "--json", work / "g.json",
               "--csv", work / "g.csv", "--junit", work / "g.xml", "--classroom", work / "g.txt",
               "--gradescope", work / "results.json")
    assert "ann" in out and "100" in out and "cost" in out
    plain = json.loads((work / "g.json").read_text())
    assert [one["points"] for one in plain] == [100, 75, 0] and plain[0]["version"] == find(NAME).version
    rows = list(csv.DictReader((work / "g.csv").read_text().splitlines()))
    assert rows[1]["cost"] == "off" and rows[2]["student"] == "'=cat"
    suites = ElementTree.parse(work / "g.xml").getroot()
    assert [suite.get("failures") for suite in suites] == ["0", "1", "1"]
    classroom = json.loads(base64.b64decode((work / "g.txt").read_text()))
    assert classroom["max_score"] == 300 and sum(test["score"] for test in classroom["tests"]) == 175
    gradescope = json.loads((work / "results.json").read_text())
    assert gradescope["score"] == 175 and gradescope["tests"][0]["max_score"] == 25


def test_a_hand_out_has_no_solution(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "pack", work / "out", NAME)
    files = {
        path.relative_to(work / "out").as_posix() for path in (work / "out").rglob("*") if path.is_file()
    }
    assert files == {f"{NAME}/{name}" for name in ("task.md", f"{NAME}.py", "hints.md")}
    assert "there already" in refused(capsys, "exercise", "pack", work / "out", NAME)


def test_ex_is_short_for_exercise(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ex", "progress"]) == 0 and "chapter" in capsys.readouterr().out


def test_no_machine_without_mpi_is_refused(work: Path, capsys: pytest.CaptureFixture[str],
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    """Without mpirun the threads' part counts, and it says so."""
    replaced: Callable[[], str] = lambda: "no mpirun here"          # noqa: E731
    monkeypatch.setattr("minipar.exercises.check.mpi_missing", replaced)
    said(capsys, "start", NAME)
    (work / NAME / f"{NAME}.py").write_text((FOLDER / "solution.py").read_text())
    out = said(capsys, "check")
    assert "no mpirun here" in out and "Passed." in out


def test_a_cell_of_a_notebook_is_checked(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    magics: dict[str, Callable[[str, str], None]] = {}

    class Shell:
        def register_magic_function(
            self, function: Callable[[str, str], None], magic_kind: str, magic_name: str
        ) -> None:
            magics[f"{magic_kind} {magic_name}"] = function

    load_ipython_extension(Shell())
    run = magics["cell exercise"]
    run(f"{NAME} --threads", (FOLDER / "stub.py").read_text())
    assert "cell.py:6" in capsys.readouterr().out
    run(f"{NAME} --threads", (FOLDER / "solution.py").read_text())
    assert "Passed." in capsys.readouterr().out and StudentProgress(work).entry(NAME).state == "passed"
    run("", "")
    assert "name one exercise" in capsys.readouterr().out
