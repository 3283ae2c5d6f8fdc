"""The glossary has every term of the lessons, in order, and says truly where each one stands."""

from __future__ import annotations

import re

import pytest

from tests.lessons.pages import glossary_faults, glossary_of, new_terms, prose_of
from tests.lessons.running import LESSONS, source_of
from tests.ranks import ROOT

PAGE, INDEX = ((ROOT / "lessons" / name).read_text(encoding="utf-8") for name in ("GLOSSARY.md", "INDEX.md"))
PROSE = {name: prose_of(source_of(name)) for name in LESSONS}
# Bold words that are no terms: they begin a paragraph, or are stressed.
NO_TERMS = {"a schedule", "averages and supports", "break it", "by columns", "by rows", "exercise", "linux",
            "macos", "memory", "messages", "no mpi at all", "sum", "time", "windows"}


def test_the_glossary_is_right() -> None:
    rows = glossary_of(PAGE)
    assert len(rows) > 120
    assert not glossary_faults(rows, PROSE, INDEX)


@pytest.mark.parametrize("lesson", LESSONS)
def test_the_glossary_has_the_terms_of(lesson: str) -> None:
    """A lesson writes a term in bold where it first occurs."""
    known = {word for row in glossary_of(PAGE) for word in re.split(r", ", row.english.lower())}
    assert not new_terms(PROSE[lesson], known | NO_TERMS)


ROW = "| Adam | (亚当) | | 1 | an optimiser |\n| rank | 进程 | 000, 3.1 | 2 | a process |\n"


@pytest.mark.parametrize("old, new, wrong", [
    ("", "", []), ("Adam", "zero", ["zero and rank are not in order", "zero does not occur in lesson 1"]),
    ("| 2 |", "| 1 |", ["rank does not occur in lesson 1"]),
    ("| 2 |", "| 7 |", ["rank: there is no lesson 7"]),
    ("000, 3.1", "000, 9.1", ["rank: the index knows no chapter 9 of 000"]), ("000, 3.1", "", ["rank: where is 进程?"]),
    ("(亚当) | |", "(亚当) | 000, 3.1 |", ["Adam: brackets, and a document"])])
def test_what_is_wrong_is_listed(old: str, new: str, wrong: list[str]) -> None:
    prose = {"01_one": "Here is Adam.", "02_two": "A rank, and ranks."}
    index = "| N1 | 000, 3.2 | it | 01 |\n"
    assert glossary_faults(glossary_of(ROW.replace(old, new)), prose, index) == wrong


def test_a_new_term_is_found() -> None:
    assert new_terms("A **rank** and a **Deadlock**; **micro-batches**", {"rank", "micro-batch"}) == {
        "deadlock"
    }
