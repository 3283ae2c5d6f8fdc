"""Slides can be read from the last row: large letters on every screen, and keys that reach all of a slide."""

from __future__ import annotations

from pathlib import Path

import pytest

from minipar.classroom.cells import read_lesson
from minipar.classroom.slides import slides
from tests.browser import Page

LINES, COLUMNS = 40, 76  # of the largest cell, see tests/lessons/test_teaching.py
PROSE = "# Words of a lesson that go on and on. Each slide has some of them.\n" * 14
LESSON = f'''# %% [markdown]
# # 99 · Large
{PROSE}# %%
class lesson:
    def predict(question): print(f"Predict: {{question}}\\n  - one\\n  - two")
# %%
{"x = 1" + " " * 10 + "# " + "-" * (COLUMNS - 17)}
{"y = 2" * 1}
{chr(10).join(f"z{number} = {number}" for number in range(LINES - 4))}
lesson.predict("how many?")
print("  answer: one\\n" + "  a line of a table\\n" * 12)
'''
SCREENS = [(1280, 720), (1920, 1080), (1024, 768)]


@pytest.fixture
def deck(tmp_path: Path) -> Path:
    (tmp_path / "99_large.py").write_text(LESSON, encoding="utf-8")
    page = tmp_path / "99.html"
    page.write_text(slides(read_lesson(tmp_path / "99_large.py")), encoding="utf-8")
    return page


@pytest.mark.parametrize("width, height", SCREENS)
def test_letters_are_large_and_lines_whole(chromium: Page, deck: Path, width: int, height: int) -> None:
    chromium.size(width, height)
    chromium.open(deck)
    for _ in range(3):
        sizes = chromium.run("""[...document.querySelectorAll("section.now p, section.now li, section.now pre")].map(
            one => [parseFloat(getComputedStyle(one).fontSize), one.scrollWidth <= one.clientWidth])""")
        assert all(size >= 0.022 * height and whole for size, whole in sizes), (width, height, sizes)
        chromium.run("show(now + 1)")


def test_a_key_shows_all_of_a_slide_before_the_next(chromium: Page, deck: Path) -> None:
    """Each line of the large cell is on the screen once, and the answer only after the question."""
    chromium.size(1280, 720)
    chromium.open(deck)
    chromium.run("show(slides.length - 1)")
    question = "document.querySelector('section.now .question').getBoundingClientRect().bottom <= innerHeight"
    out = "(box => box.top >= 0 && box.bottom <= innerHeight)(document.querySelector('section.now pre.out').getBoundingClientRect())"
    states = []
    for _ in range(6):
        states.append((chromium.run(question), chromium.run("!document.querySelector('section.now .hidden')"),
                       chromium.run(out)))
        chromium.press("ArrowRight")
    assert states[0] == (False, False, False), "the first screen has the beginning of the code"
    assert (True, False) in [one[:2] for one in states], "the question is seen before its answer"
    assert states[-1] == (True, True, True) and chromium.problems == []


def test_choices_of_a_question_are_lines(chromium: Page, deck: Path) -> None:
    chromium.size(1280, 720)
    chromium.open(deck)
    chromium.run("show(slides.length - 1)")
    assert chromium.run("document.querySelector('p.question').innerText.split('\\n').length") == 3


def test_a_question_has_large_letters_until_its_answer_is_shown(chromium: Page, tmp_path: Path) -> None:
    """Before, the letters of a short question were as small as those of its long answer."""
    lesson, page = tmp_path / "98_short.py", tmp_path / "98.html"
    lesson.write_text('''# %% [markdown]
# # 98 · Short
# %%
class lesson:
    def predict(question): print(f"Predict: {question}")
# %%
lesson.predict("how many?")
print("  answer: one\\n" + "  a line of a table\\n" * 30)
''', encoding="utf-8")
    page.write_text(slides(read_lesson(lesson)), encoding="utf-8")
    chromium.size(1280, 720)
    chromium.open(page)
    chromium.run("show(slides.length - 1)")
    size = "parseFloat(getComputedStyle(document.querySelector('section.now .question')).fontSize)"
    before = chromium.run(size)
    chromium.press("ArrowRight")
    assert before == pytest.approx(0.04 * 720) and 0.022 * 720 <= chromium.run(size) < before
    assert not chromium.run("document.querySelector('section.now .hidden')") and chromium.problems == []
