"""What the teacher's pages name is there: sections of lessons, exercises, minutes that add up. (Commands and
links: tests/test_docs.py.)
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from minipar.lessons.players.page import PLAYERS, find

from minipar.classroom.cells import Section, read_lesson
from minipar.exercises import catalogue
from tests.lessons.pages import minutes_of
from tests.lessons.running import LESSONS, script_of
from tests.lessons.teaching.walk import PLANS, table_rows
from tests.ranks import ROOT

KIT = ROOT / "lessons" / "teaching"
PAGES = sorted(KIT.glob("*.md"))
FILES = {str(int(name[:2])) if name[0].isdigit() else name: read_lesson(script_of(name)) for name in LESSONS}
SECTIONS = {
    number: [re.sub(r"^\d+ · ", "", section.heading) for section in lesson.sections]
    for number, lesson in FILES.items()
}
REFERENCE = re.compile(r"\b(\d+|collectives)\.(\d+) \*([^*]+)\*")
SPAN = re.compile(r"\b(\d+|collectives)\.(\d+) \*[^*]+\*(?: to \1\.(\d+) \*[^*]+\*)?")
BREAK = 10  # minutes at the end of a block of the workshop


def wrong_sections(page: str) -> list[str]:
    """References such as 14.3 *The two layers on real ranks* that are not so."""
    return [f"{lesson}.{number} is not {title!r}" for lesson, number, title in REFERENCE.findall(page)
            if SECTIONS.get(lesson, [])[int(number):int(number) + 1] != [title]]


def wrong_exercises(page: str, rows: str = r"[a-z]+_[a-z_0-9]+") -> list[str]:
    """Names in backticks that look like an exercise's and are none; the functions of a lesson are listed
    here.
    """
    known = {exercise.name for exercise in catalogue.every()} | {"copy_to_region"}
    return [name for name in re.findall(rf"`({rows})`", page) if name not in known]


def wrong_players(page: str) -> list[str]:
    """Titles behind the word player that no player of the book has."""
    titles = {find(name).TITLE for name in PLAYERS}
    return [
        title
        for one in re.findall(r"\bplayer\s+\*([^*]+)\*", page)
        if (title := " ".join(one.split())) not in titles
    ]


def reading_minutes(text: str) -> float:
    """How long the named sections take to read; 14.1 *A* to 14.3 *B* are three sections."""
    return sum(minutes_of(FILES[lesson].sections[number]) for lesson, first, last in SPAN.findall(text)
               for number in range(int(first), int(last or first) + 1))


def minutes(page: str) -> list[tuple[int, int]]:
    """The rows `| 5 to 20 |` of a plan."""
    return [(int(one), int(other)) for one, other in re.findall(r"^\| (\d+) to (\d+) \|", page, re.MULTILINE)]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_sections_exercises_and_players_are_there(path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    assert not wrong_sections(page) and not wrong_exercises(page) and not wrong_players(page)


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_fills_ninety_minutes_without_a_gap(name: str) -> None:
    page = (KIT / f"{name}.md").read_text(encoding="utf-8")
    rows = minutes(page)
    assert (
        rows[0][0] == 0
        and rows[-1][1] == 90
        and all(one[1] == other[0] for one, other in zip(rows, rows[1:], strict=False))
    )
    lesson = REFERENCE.findall(page)[0][0]
    core = [
        str(number) for number, section in enumerate(SECTIONS[lesson]) if not section.endswith("(optional)")
    ]
    timed = [line for line in page.splitlines() if re.match(r"\| \d+ to", line)]
    planned = [number for line in timed for _, number, _ in REFERENCE.findall(line)]
    assert planned == core, "the plan has the core path, section by section"


def core(name: str) -> list[Section]:
    """The core path of a plan's lesson."""
    return [section for section in FILES[PLANS[name]].sections if section.is_core]


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_gives_each_section_the_time_to_read_it(name: str) -> None:
    """The plan also says how long reading and predicting takes in all."""
    page = (KIT / f"{name}.md").read_text(encoding="utf-8")
    needed = [minutes_of(section) for section in core(name)]
    planned = [end - begin for begin, end in minutes(page)]
    short = [
        section.heading
        for section, want, have in zip(core(name), needed, planned, strict=True)
        if have < want
    ]
    assert not short, "the plan has less time than reading takes"
    stated = re.search(r"Reading and predicting alone takes\s+(\d+)\s+minutes", page)
    assert stated and int(stated[1]) == round(sum(needed))


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_names_everything_that_the_lesson_breaks(name: str) -> None:
    asked = sum(cell.text.count("**Break it.**") for section in core(name) for cell in section.cells)
    assert asked == (KIT / f"{name}.md").read_text(encoding="utf-8").count("*Break it*") > 0


def questions(name: str) -> list[list[str]]:
    """The choices of each question on the core path; [] where a number is asked for."""
    calls = [node for section in core(name) for cell in section.cells if cell.kind == "code"
             for node in ast.walk(ast.parse(cell.text)) if isinstance(node, ast.Call)
             and isinstance(node.func, ast.Attribute) and node.func.attr == "predict"]
    return [list(ast.literal_eval(call.args[1])) if len(call.args) > 1 else [] for call in calls]


def wrong_predictions(page: str, asked: list[list[str]]) -> list[str]:
    """What a plan says of the questions that does not fit: the lesson has other questions, or other choices.
    """
    rows = table_rows(page, r"\d\.")
    numbers = [int(row[0][0]) for row in rows]
    if sorted(set(numbers)) != list(range(1, len(asked) + 1)):
        return [f"questions {sorted(set(numbers))} of {len(asked)}"]
    found = []
    for number, (_, right, said, *_) in zip(numbers, rows, strict=True):
        choices = asked[number - 1]
        found += [f"{number}: {right} is no choice"] * (bool(right and choices) and right not in choices)
        found += [f"{number}: {said} is no choice"] * (
            bool(choices) and not any(one.startswith(said) or said.startswith(f"{one}:") for one in choices))
    return found


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_answers_the_questions_that_the_lesson_asks(name: str) -> None:
    assert not wrong_predictions((KIT / f"{name}.md").read_text(encoding="utf-8"), questions(name))


@pytest.mark.parametrize("row, wrong", [
    ("| 1. What? | a | b: since c | no |", []), ("| 1. What? | c | b | no |", ["1: c is no choice"]),
    ("| 1. What? | a | c: since b | no |", ["1: c: since b is no choice"]),
    ("| 2. What? | a | b | no |", ["questions [2] of 1"])])
def test_a_prediction_that_does_not_fit_is_found(row: str, wrong: list[str]) -> None:
    assert wrong_predictions(row, [["a", "b"]]) == wrong


def test_the_course_has_ten_weeks_and_the_parallel_lessons() -> None:
    page = (KIT / "SYLLABUS.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| (\d+) \|", page, re.MULTILINE) == [str(week) for week in range(1, 11)]
    assert {"0", "collectives", "13", "14", "15", "16"} <= {
        lesson for lesson, _, _ in REFERENCE.findall(page)
    }


def test_the_syllabus_has_a_place_for_each_lesson() -> None:
    """A lesson is in the second column of a week, or among those for students who want more."""
    page = (KIT / "SYLLABUS.md").read_text(encoding="utf-8")
    weeks = re.findall(r"^\| \d+ \| ([^|]*) \|", page, re.MULTILINE)
    more = re.search(r"^Lessons .* are for students who want more(?:.|\n.)*", page, re.MULTILINE)
    assert more and set(SECTIONS) == {one.strip() for week in weeks for one in week.split(",")} | set(
        re.findall(r"\b\d+(?= \(|,| and \d| are)", more[0]))


def homework(text: str) -> int:
    """The minutes of the exercises that a text names."""
    return sum(exercise.minutes for exercise in catalogue.every() if f"`{exercise.name}`" in text)


def test_a_week_has_work_for_its_class_and_not_too_much_homework() -> None:
    """Reading and predicting takes 20 to 45 of the 90 minutes of a class; the plans of 90 minutes have tests
    of their own.
    """
    for week, _, before, in_class, exercises, _ in table_rows(
        (KIT / "SYLLABUS.md").read_text(encoding="utf-8"), r"\d+$"
    ):
        assert "(" in in_class or 20 <= reading_minutes(in_class) <= 45, (
            f"week {week}: {reading_minutes(in_class)} in class"
        )
        assert reading_minutes(before) <= 15 and homework(exercises) <= 180, f"week {week}"


def test_a_block_of_the_workshop_has_time_for_what_it_names() -> None:
    rows = table_rows((KIT / "WORKSHOP.md").read_text(encoding="utf-8"), r"\d+:\d\d")
    begins = [60 * int(hour) + int(minute) for hour, minute in (row[0].split(":") for row in rows)]
    for begin, end, row in zip(begins, [*begins[1:], 0], rows, strict=True):
        until = min(end, 12 * 60) if begin < 12 * 60 < end else end         # lunch
        needed = reading_minutes(row[2]) + homework(row[1])
        assert until < begin or needed <= until - begin - BREAK, f"{row}: {needed} minutes"


def test_spans_of_sections_are_added_up() -> None:
    each = [reading_minutes(f"14.{number} *{SECTIONS['14'][number]}*") for number in (1, 2, 3)]
    assert all(each) and reading_minutes("14.1 *A* to 14.3 *B*, and 14.2 *C*") == pytest.approx(
        sum(each) + each[1]
    )


@pytest.mark.parametrize("page, found", [
    ("14.1 *Two ways to split a product*", []), ("14.1 *Backward*", ["14.1 is not 'Backward'"]),
    ("14.77 *Backward*", ["14.77 is not 'Backward'"]), ("99.1 *Backward*", ["99.1 is not 'Backward'"])])
def test_a_wrong_section_is_found(page: str, found: list[str]) -> None:
    assert wrong_sections(page) == found


def test_a_wrong_exercise_is_found() -> None:
    assert wrong_exercises("`ring_shift` and `ring_shfit`") == ["ring_shfit"]


def test_a_wrong_player_is_found() -> None:
    assert wrong_players("the player *Pipeline\nschedules*, the player *Pipelines*") == ["Pipelines"]
