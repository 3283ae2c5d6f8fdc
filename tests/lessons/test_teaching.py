"""Lessons teach first: what a student sees fits a projector, questions come before answers, documents come
last.
"""

import ast
import re
from pathlib import Path

import pytest

from minipar.classroom.cells import LessonFile, read_lesson
from tests.lessons.pages import core_minutes, covers, stated_minutes
from tests.lessons.running import LESSONS, script_of, source_of

WIDE, LONG = 76, 40                     # columns of a line of code ("| " stands before it), lines of a cell
DOCUMENTS = "What the documents say"
FILES = {name: read_lesson(script_of(name)) for name in LESSONS}


def code(lesson: LessonFile) -> list[str]:
    return [cell.text for section in lesson.sections for cell in section.cells if cell.kind == "code"]


def faults(lesson: LessonFile) -> list[str]:
    """What a class could not follow, in words."""
    found = [f"{len(line)} columns: {line}" for text in code(lesson) for line in text.splitlines() if len(line) > WIDE]
    found += [f"a cell of {text.count(chr(10)) + 1} lines: {text[:40]!r}" for text in code(lesson)
              if text.count("\n") >= LONG]
    found += [f"prints its own heading: {line}" for text in code(lesson)
              for line in re.findall(r"say\(\s*f?\"\d+ · .*", text)]
    if len(re.findall(r"\.predict\(", "\n".join(code(lesson)))) < 3:
        found.append("fewer than three predictions")
    cells = [cell for section in lesson.sections for cell in section.cells if cell.kind == "prose"]
    found += [f"a heading inside a cell: {line}" for cell in cells for line in cell.text.splitlines()[1:]
              if re.match("##? ", line)]
    return found


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_can_be_shown_and_followed(name: str) -> None:
    lesson = FILES[name]
    assert not faults(lesson)
    first, *between, last = lesson.sections
    assert not last.is_core, "who is short of time need not read the last section"
    assert between[0].is_core, "the first section after the title is on the core path"


@pytest.mark.parametrize("name", LESSONS)
def test_the_core_path_takes_as_long_as_the_lesson_says(name: str) -> None:
    assert stated_minutes(FILES[name]) == core_minutes(FILES[name]) <= 45


@pytest.mark.parametrize("name", LESSONS)
def test_the_documents_come_last(name: str) -> None:
    """What a lesson covers of them is named in its last section, and nowhere before."""
    *before, last = FILES[name].sections
    at = [
        section.heading
        for section in FILES[name].sections
        if any("Covers: " in cell.text for cell in section.cells)
    ]
    assert at == ([last.heading] if covers(source_of(name)) else [])
    assert (DOCUMENTS in last.heading) == bool(at) and not any(
        DOCUMENTS in section.heading for section in before
    )


def reused_names(source: str) -> set[str]:
    """Functions and classes of a lesson whose name the lesson also gives to something else. A student who
    runs a cell again, or calls the function in a later cell, then gets the wrong one.
    """
    tree = ast.parse(source)
    defined = [node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    inside = {id(part) for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))
              for part in ast.walk(node)}
    assigned = {node.id for node in ast.walk(tree)
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and id(node) not in inside}
    return {name for name in defined if name in assigned or defined.count(name) > 1}


@pytest.mark.parametrize("name", LESSONS)
def test_a_function_keeps_its_name(name: str) -> None:
    assert not reused_names(script_of(name).read_text(encoding="utf-8"))


def test_a_reused_name_is_found() -> None:
    function = "def spread(x):\n    y = x\n    return y\n"
    assert reused_names(function + "y = spread(1)\n") == set()
    assert reused_names("spread = [1]\n" + function) == {"spread"}
    assert reused_names("for spread in [1]:\n    pass\n" + function) == {"spread"}
    assert reused_names(function + function) == {"spread"}


GOOD = """# %% [markdown]
# # 01 · One
# %%
lesson.predict("a")
lesson.predict("b")
lesson.predict("c")
"""


@pytest.mark.parametrize("more, wrong", [
    ("", []), (f"x = {'1' * 80}\n", ["84 columns"]), ("x = 1\n" * 40, ["a cell of 43 lines"]),
    ('lesson.say("2 · too")\n', ["prints its own heading"]),
    ("# %% [markdown]\n# Words.\n# ## 2 · Two\n", ["a heading inside a cell"])])
def test_what_a_class_cannot_follow_is_found(more: str, wrong: list[str], tmp_path: Path) -> None:
    path = tmp_path / "lesson.py"
    path.write_text(GOOD + more, encoding="utf-8")
    found = faults(read_lesson(path))
    assert len(found) == len(wrong) and all(word in line for word, line in zip(wrong, found, strict=True))
    path.write_text(GOOD.replace('lesson.predict("a")\n', ""), encoding="utf-8")
    assert faults(read_lesson(path)) == ["fewer than three predictions"]
