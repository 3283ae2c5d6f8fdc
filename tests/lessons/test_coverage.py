"""Every id of the index is covered by one lesson and tested there; every erratum is shown; the table of
lessons is right.
"""

import pytest

from minipar.classroom.cells import read_lesson
from minipar.cli.lesson import entries
from tests.lessons.pages import asserted, errata, index_of, not_shown, stated_minutes, title_of, uncovered
from tests.lessons.running import LESSONS, alone, script_of, source_of
from tests.ranks import ROOT

FOLDER = ROOT / "lessons"
SOURCES = {lesson: source_of(lesson) for lesson in LESSONS}


def page(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def test_every_id_is_covered_by_its_lesson_and_by_an_assert() -> None:
    wrong = uncovered(index_of(page("INDEX.md")), SOURCES)
    assert not wrong, "\n".join(wrong)


def test_the_index_is_whole() -> None:
    """The documents have 25 formulas, all of them in lessons 01 to 14. (Other kinds reach into later
    lessons.)
    """
    ids = index_of(page("INDEX.md"))
    assert [name for name in ids if name[0] == "F"] == [f"F{number}" for number in range(1, 26)]
    assert set(ids.values()) == {f"{number:02}" for number in range(1, 21)}


def test_every_erratum_is_shown_by_its_lesson() -> None:
    assert list(errata(page("ERRATA.md"))) == [f"R{number}" for number in range(1, 31)]
    wrong = not_shown(page("ERRATA.md"), SOURCES)
    assert not wrong, "\n".join(wrong)


def test_the_table_has_every_lesson() -> None:
    rows = {entry.name: entry for entry in entries(FOLDER)}
    assert list(rows) == LESSONS
    for lesson, entry in rows.items():
        assert entry.title == title_of(SOURCES[lesson])
        assert entry.ranks == ("1" if alone(lesson) else "2+")
        assert 0 < float(entry.seconds) < 60 and 0 < float(entry.fast) < 10
        assert entry.core == f"{stated_minutes(read_lesson(script_of(lesson)))} min"


# What the checks see: an index of three ids, two lessons, and each way to be wrong.

INDEX = {"F1": "01", "N2": "01", "E3": "02"}
ONE = '''# # 01 · One: first\n# Covers: F1 N2\nassert x == 1, "F1: one"\nassert len(y), f"N2: {x}"\n'''
TWO = '''# # 02 · Two\n# Covers: E3\nassert all(z), "E3: all of them"\n'''
GOOD = {"01_one": ONE, "02_two": TWO}


def test_good_lessons_pass() -> None:
    assert uncovered(INDEX, GOOD) == [] and asserted(ONE) == {"F1", "N2"}
    assert (title_of(ONE), title_of(TWO)) == ("One", "Two")


@pytest.mark.parametrize("lesson, old, new, wrong", [
    ("01_one", "F1 N2", "F1", ["N2 belongs to lesson 01, and is covered by none"]),
    ("01_one", '"F1: one"', '"one"', ["F1: no assert of 01_one names it"]),
    ("01_one", "x == 1", "True", ["F1: no assert of 01_one names it"]),
    ("01_one", "x == 1", '1.5 == 1.5', ["F1: no assert of 01_one names it"]),
    ("01_one", 'assert x == 1, "F1: one"', '"F1: one"', ["F1: no assert of 01_one names it"]),
    ("02_two", "Covers: E3", "Covers: E3 F1",
     ["F1 belongs to lesson 01, and is covered by 01_one and 02_two"]),
    ("02_two", "Covers: E3", "Covers: E3 N9", ["N9, covered by 02_two, is not in the index"]),
    ("01_one", "F1 N2", "F1 N2 E3", ["E3 belongs to lesson 02, and is covered by 01_one and 02_two"]),
    ("02_two", "# Covers", "# covers", ["E3 belongs to lesson 02, and is covered by none"]),
])
def test_what_is_missing_is_listed(lesson: str, old: str, new: str, wrong: list[str]) -> None:
    assert uncovered(INDEX, GOOD | {lesson: GOOD[lesson].replace(old, new)}) == wrong


def test_an_index_with_two_rows_for_an_id_is_refused() -> None:
    row = "| F1 | 000 | it | 01 |\n"
    assert index_of(row) == {"F1": "01"}
    with pytest.raises(AssertionError, match="two rows for F1"):
        index_of(row + row)


@pytest.mark.parametrize("cell, wrong", [
    ("[01](01_one.py)", []),
    ("[01](01_one.py), [02](02_two.py)", ["R1: lesson 02_two does not name it"]),
    ("[03](03_three.py)", ["R1: there is no lesson 03_three"]),
    ("lesson 15, to come", []),
    ("lesson 02, to come", ["R1: lesson 02_two has come, link to it"]),
    ("somewhere", ["R1: no lesson is named"]),
])
def test_errata_that_are_not_shown_are_listed(cell: str, wrong: list[str]) -> None:
    lessons = {"01_one": "# R1 and R12", "02_two": "# R12"}
    assert not_shown(f"| R1 | where | what | {cell} |\n", lessons) == wrong
