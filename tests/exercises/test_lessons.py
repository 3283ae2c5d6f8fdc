"""The lessons' sections "Exercises" name exercises that exist, and each lesson has one of its own."""

from __future__ import annotations

import re

import pytest

from minipar.cli.lesson import entries, find, lessons_folder
from minipar.exercises.catalogue import every

FOLDER = lessons_folder()
LESSONS = {entry.number: find(FOLDER, entry.number) for entry in entries(FOLDER)}
EXERCISES = {exercise.name: exercise for exercise in every()}


def section(name: str) -> str:
    """The text below the heading "Exercises"."""
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    found = re.search(r"^# ## \d+ · Exercises$(.*?)(?=^# ## |\Z)", text, re.S | re.M)
    assert found is not None, f"{name} has no section of exercises"
    return found[1]


@pytest.mark.parametrize("name", LESSONS.values())
def test_a_lesson_names_exercises_that_exist(name: str) -> None:
    text = section(name)
    started = set(re.findall(r"minipar exercise start (\w+)", text)) - {"NAME"}
    chapters = set(re.findall(r"[Cc]hapter (\d+)", text))
    quoted = set(re.findall(r"`(\w+)`", text)) & set(EXERCISES)
    assert started <= set(EXERCISES) and (quoted or started or chapters)
    assert chapters <= {str(int(exercise.chapter[:2])) for exercise in EXERCISES.values()}


def test_each_exercise_has_a_lesson_and_each_lesson_an_exercise() -> None:
    of_exercises = {find(FOLDER, exercise.lesson) for exercise in EXERCISES.values()}
    assert of_exercises <= set(LESSONS.values())
    assert of_exercises >= {
        name for number, name in LESSONS.items() if not number.isdigit() or int(number) <= 16
    }
