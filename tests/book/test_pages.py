"""Every page of the site that MINIPAR_BOOK names (`make book-test`, `make book-short`): as opened from its
folder.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from minipar.lessons.players.page import PLAYERS

from minipar.exercises.catalogue import every
from tests.book.site import site
from tests.browser import Page

NOT_LOOKED_AT = ("_static/", "_sources/")                           # parts of the theme
MOST = 20e6  # bytes of the site


def pages() -> list[Path]:
    found = [
        path
        for path in sorted(site().rglob("*.html"))
        if not str(path.relative_to(site())).startswith(NOT_LOOKED_AT)
    ]
    assert len(found) > 40, "the site is not there, or not whole"
    return found


def lessons() -> list[Path]:
    return [
        path
        for path in sorted((site() / "lessons").glob("*.html"))
        if "Predict: " in path.read_text(encoding="utf-8")
    ]


@pytest.fixture
def browser(chromium: Page) -> Page:
    chromium.problems.clear()
    chromium.size(1280, 900)
    return chromium


def test_no_page_complains_asks_the_network_or_is_too_wide_for_a_phone(browser: Page) -> None:
    wrong = {}
    for width, dark in ((1280, False), (390, True)):
        browser.size(width, 900, dark)
        for path in pages():
            browser.open(path)
            wide = browser.run("document.documentElement.scrollWidth")
            if browser.problems or wide > width:
                wrong[f"{path.relative_to(site())} at {width}"] = (wide, browser.problems[:3])
            browser.problems.clear()
    assert wrong == {}


def test_all_links_within_the_site_lead_somewhere() -> None:
    broken = set()
    ids = {path: set(re.findall(r'\bid="([^"]+)"', path.read_text(encoding="utf-8"))) for path in pages()}
    for path in pages():
        for target in re.findall(r'<a [^>]*?href="([^"]+)"', path.read_text(encoding="utf-8")):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            there = (path.parent / name).resolve() if name else path
            if not there.is_file() or anchor and there in ids and anchor not in ids[there]:
                broken.add((str(path.relative_to(site())), target))
    assert broken == set()


def test_it_is_small_enough() -> None:
    sizes = {path: path.stat().st_size for path in site().rglob("*") if path.is_file()}
    assert sum(sizes.values()) < MOST and not any(path.suffix in (".map", ".po", ".mo") for path in sizes)


def test_no_solution_is_in_it() -> None:
    """No four lines in a row of any solution or wrong answer, but those of the stub."""
    text = "\n".join(re.sub(r"<[^>]+>", "", path.read_text(encoding="utf-8")) for path in pages()
                     if "exercises" in path.parts)
    lines = {line.strip() for line in text.split("\n")}
    for exercise in every():
        stub = (exercise.folder / "stub.py").read_text(encoding="utf-8")
        for answer in (exercise.folder / "solution.py", *(exercise.folder / "wrong").glob("*.py")):
            code = [line.strip() for line in answer.read_text(encoding="utf-8").split("\n")]
            code = [
                line
                for line in code
                if len(line) > 20 and line not in stub and not line.startswith(("import", "from", "#"))
            ]
            assert not any(all(line in lines for line in code[at : at + 4]) for at in range(len(code) - 3)), (
                answer
            )


def test_exercises_have_task_and_folded_hints(browser: Page) -> None:
    page = next(path for path in pages() if path.stem == "ping_pong")
    browser.open(page)
    assert "minipar exercise start ping_pong" in browser.text("article")
    assert (
        browser.run("[...document.querySelectorAll('details.mp-hint')].map(one => one.open)") == [False] * 3
    )
    browser.click("details.mp-hint summary")
    assert browser.run("document.querySelector('details.mp-hint').open")


def test_lessons_have_outputs_and_pictures() -> None:
    assert len(lessons()) >= 2
    for path in lessons():
        text = path.read_text(encoding="utf-8")
        assert "answer: " in text and "Traceback" not in text, path
    assert any("_images/" in path.read_text(encoding="utf-8") for path in lessons())


def test_without_javascript_all_is_there(browser: Page) -> None:
    browser.scripts(False)
    try:
        browser.open(site() / "players.html")
        shown = [name for role, name in browser.labels() if role == "StaticText"]
        for words in ("zb-h1 on 4 ranks", "deadlock, a cycle", "Rank 0 of dp 4", "dies in step 3",
                      "4 workers compute", "Request 0 arrives before pass 1", "copy on write"):
            assert any(words in text for text in shown), words
        browser.open(lessons()[0])
        assert any("answer: " in name for _, name in browser.labels())
    finally:
        browser.scripts(True)


def test_all_players_start_in_the_book(browser: Page) -> None:
    browser.open(site() / "players.html")
    started = browser.run(
        "[...document.querySelectorAll('figure[data-started]')].map(one => one.dataset.player)"
    )
    assert started == list(PLAYERS)
    for name in PLAYERS:
        stage = f"figure[data-player={name}] .mp-stage"
        assert browser.run(f"document.querySelectorAll('{stage} svg').length"), name
    for name in sorted({*PLAYERS} - {"layout"}):                    # which has no steps
        stage = f"figure[data-player={name}] .mp-stage"
        browser.click(f"{stage} [aria-label='first step']")
        before = browser.text(f"{stage} .mp-said")
        browser.focus(stage)
        browser.press("ArrowRight")
        assert browser.text(f"{stage} .mp-said") != before and "step 1 of" in browser.text(
            f"{stage} .mp-counter"
        )
    assert browser.problems == []


def test_the_search_finds_a_word(browser: Page) -> None:
    browser.open(site() / "search.html", "?q=micro-batch")
    browser.run("new Promise(done => setTimeout(done, 1500))")
    assert browser.run("document.querySelectorAll('#search-results li').length") > 0
    assert browser.problems == []


@pytest.fixture
def asked(browser: Page) -> Callable[[Path], Page]:
    """A lesson without earlier predictions."""
    def opened(path: Path) -> Page:
        browser.open(path)
        browser.run("localStorage.clear()")
        browser.open(path)
        return browser
    return opened


def test_a_prediction_locks_before_the_answer_opens(asked: Callable[[Path], Page]) -> None:
    page = asked(site() / "lessons" / "15_pipeline_parallel.html")
    form = "form[data-question^='What percentage']"
    assert "25 %" not in page.run("document.querySelector('article').innerText")
    page.click(f"{form} [type=submit]")
    assert "Predict first" in page.text(f"{form} .mp-verdict")
    page.focus(f"{form} input")
    page.type("50 %")
    page.press("Enter")
    assert "Answer: 25 %" in page.text(f"{form} .mp-verdict") and "2 times the answer" in page.text(
        f"{form} .mp-verdict"
    )
    assert page.run(f"document.querySelectorAll(\"{form} input\").length") == 0
    assert "a step takes 12 units" in page.run("document.querySelector('article').innerText")
    page.open(site() / "lessons" / "15_pipeline_parallel.html")     # another day: it is still locked
    assert "you predicted 50 %" in page.text(f"{form} .mp-verdict")


def test_choices_are_chosen_by_keys_and_by_clicks(asked: Callable[[Path], Page]) -> None:
    page = asked(site() / "lessons" / "15_pipeline_parallel.html")
    form = "form[data-question^='In what do GPipe']"
    page.click(f"{form} input[value=memory]")
    page.click(f"{form} [type=submit]")
    assert "you predicted memory: right" in page.text(f"{form} .mp-verdict")
    form = "form[data-question^='Which schedule hangs']"
    page.focus(f"{form} input")
    page.press(" ")
    page.press("ArrowDown")
    page.press("Enter")
    assert "Answer: 1F1B · you predicted 1F1B: right" in page.text(f"{form} .mp-verdict")


def test_one_may_look_without_predicting_and_forget(asked: Callable[[Path], Page]) -> None:
    page = asked(site() / "lessons" / "00_first_program.html")
    page.click(".mp-plainly")
    assert "Answer: " in page.text(".mp-verdict") and "you predicted" not in page.text(".mp-verdict")
    page.focus("form.mp-question input")
    page.type("24")
    page.press("Enter")
    assert page.run("localStorage.length") >= 1
    before = page.run("document.querySelectorAll('form.mp-opened').length")
    page.click(".mp-forget button")
    page.run("new Promise(done => setTimeout(done, 1500))")
    assert before == 2 and page.run("document.querySelectorAll('form.mp-opened').length") == 0
