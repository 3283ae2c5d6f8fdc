"""The line and the reason, in place of a fixed program."""

from __future__ import annotations

from pathlib import Path

import pytest

from minipar.exercises.bug import answer_path, template
from minipar.exercises.catalogue import every, find
from minipar.exercises.check import check, read_submission
from minipar.exercises.exercise import Exercise
from minipar.exercises.grade import graded
from minipar.exercises.pack import pack
from minipar.exercises.workplace import start
from tests.commands import call, refused

FINDS = [exercise for exercise in every() if exercise.kind == "find"]


def answered(exercise: Exercise, folder: Path, line: object, reason: object) -> Path:
    """A folder with the program as it is given, and this answer."""
    path, _ = start(exercise, folder)
    assert exercise.bug is not None
    text = template(exercise.bug, path.name)
    assert all(len(row) < 80 for row in text.splitlines())
    answer_path(path).write_text(
        text.replace("line =", f"line = {line}").replace("reason =", f"reason = {reason}")
    )
    return path


def right(exercise: Exercise) -> tuple[list[int], str]:
    """(numbers of right lines, letter of the right reason)."""
    assert exercise.bug is not None
    lines = exercise.text("stub.py").splitlines()
    numbers = [
        number for number, line in enumerate(lines, 1) if any(part in line for part in exercise.bug.lines)
    ]
    return numbers, next(key for key, text in exercise.bug.reasons.items() if text == exercise.bug.reason)


@pytest.mark.parametrize("exercise", FINDS, ids=lambda exercise: exercise.name)
def test_each_line_and_each_reason(exercise: Exercise, tmp_path: Path) -> None:
    assert exercise.bug is not None
    lines, letter = right(exercise)
    for number in range(1, len(exercise.text("stub.py").splitlines()) + 1):
        for reason in exercise.bug.reasons:
            path = answered(exercise, tmp_path, number, reason)
            found = check(exercise, read_submission(path))
            assert found.passed == (number in lines and reason == letter) and found.mpi is None
            assert (
                found.threads.score == int(found.passed)
                and graded(path, "x", exercise).score == found.threads.score
            )


@pytest.mark.parametrize("line, reason, light, words", [
    ("x", "a", "runs", "'x'"), (0, "a", "runs", "'0'"), (10**5, "a", "runs", "line"),
    ("", "a", "runs", "names no line"), (12, "", "runs", "reason"), (12, "z", "runs", "'z'"),
    ("12" * 40, "a", "runs", "line"), (1, "a", "values", "not in line 1"),
    (12, "d", "values", "line 12 is right"), (12, " A. ", "values", ""),
    (12, "a) a piece from the left", "values", ""), (12, "z) a piece", "runs", "'z")])
def test_what_is_said_of_an_answer(
    tmp_path: Path, line: object, reason: object, light: str, words: str
) -> None:
    exercise = find("chunk_order_bug")
    found = check(exercise, read_submission(answered(exercise, tmp_path, line, reason))).threads.light(light)
    assert words in found.diagnosis and (found.state == "off") == bool(words)


def test_an_answer_in_sentences_is_told_the_form(tmp_path: Path) -> None:
    exercise = find("chunk_order_bug")
    path, _ = start(exercise, tmp_path)
    for text in ("line 13: the index is wrong", "# a comment\n13 a\n"):
        answer_path(path).write_text(text)
        found = check(exercise, read_submission(path)).threads.light("runs")
        assert found.state == "off" and "line = NUMBER" in found.advice


def test_a_program_that_was_changed_is_graded_and_an_empty_answer_is_none(tmp_path: Path) -> None:
    exercise = find("wrong_backward")
    lines, letter = right(exercise)
    path = answered(exercise, tmp_path, lines[0], letter)
    path.write_text("# a comment is no change\n" + path.read_text())
    answer_path(path).write_text(f"line = {lines[0] + 1}\nreason = {letter}")   # of the file as it is
    assert check(exercise, read_submission(path)).passed
    path.write_text(path.read_text().replace("mean(axis=1)", "mean(axis=0)"))
    assert not check(exercise, read_submission(path)).passed
    path.write_text(exercise.text("stub.py"))
    answer_path(path).write_text(template(exercise.bug, path.name))
    assert check(exercise, read_submission(path)).threads.light("gradients").state == "off"


def test_the_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "chunk_order_bug"
    assert call("exercise", "start", name) == 0
    path = answer_path(Path("exercises", name, f"{name}.py"))
    assert f"{name}.answer.txt" in capsys.readouterr().out
    lines, letter = right(find(name))
    path.write_text(f"line={lines[0]}\nreason={letter}\n")
    assert call("exercise", "start", name) == 0 and letter in path.read_text()[-3:]        # kept
    assert call("exercise", "check") == 0 and "Passed" in capsys.readouterr().out
    path.write_bytes(b"line = \xff")
    assert "UTF-8" in refused(capsys, "exercise", "check")
    assert {file.name for file in pack([find(name)], Path("out"))} >= {path.name}
