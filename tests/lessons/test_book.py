"""The book's pages before Sphinx reads them, and the players' runs. `make book-test` looks at the site
itself.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from minipar.lessons.book import exercises, reference
from minipar.lessons.book.contents import PLAYERS_IN, ROOT, SHORT_LESSONS, contents
from minipar.lessons.book.gather import Gatherer
from minipar.lessons.book.links import rewritten
from minipar.lessons.players import asynchronous, batch, cache, collective, elastic, sharding, waits
from minipar.lessons.players import page as players

import minipar as mp
from minipar.comm.collectives import select
from minipar.nn.counts import computed_pairs
from minipar.plan.amounts import by_axis
from minipar.plan.memory import training_memory
from minipar.plan.traffic import step_traffic

PAGES = {
    "lessons/README.md": "lessons/README.md",
    "lessons/14_x.py": "lessons/14_x.ipynb",
    "README.md": "README.md",
}


@pytest.mark.parametrize("text, expected", [
    ("see [14](14_x.py) now", "see [14](14_x.ipynb) now"),
    ("[up](../README.md#use-it)", "[up](../README.md#use-it)"), ("[code](../minipar/rng.py)", "code"),
    ("[folder](support/)", "folder"), ("[here](#table)", "[here](#table)"),
    ("[far](https://x.org/14_x.py)", "[far](https://x.org/14_x.py)"), ("![words](none.png)", "words"),
    ("![drawn](pictures/a.png)", "![drawn](pictures/a.png)"),
    ("[`a` and [b]](14_x.py)", "[`a` and [b]](14_x.ipynb)"),
    ("```\n[code](../minipar/rng.py)\n```", "```\n[code](../minipar/rng.py)\n```")])
def test_links_lead_to_pages_of_the_book_or_become_words(text: str, expected: str) -> None:
    assert (
        rewritten(text, "lessons/README.md", PAGES, lambda path: path == "lessons/pictures/a.png") == expected
    )


def test_everything_is_in_the_book_once() -> None:
    book = contents()
    assert len(set(book.lessons)) == len(book.lessons) == len(list((ROOT / "lessons").glob("*.py"))) - 1
    assert (
        len(set(book.exercises))
        == len(book.exercises)
        == len(list((ROOT / "lessons/exercises").glob("*/*/exercise.py")))
    )
    names = [path.stem for path in book.lessons]
    assert (
        names[0] == "00_first_program" and names.index("collectives") == names.index("13_data_parallel") - 1
    )
    assert set(PLAYERS_IN) <= set(names) and set(SHORT_LESSONS) <= set(names)
    assert {name for used in PLAYERS_IN.values() for name in used} == set(players.PLAYERS)


@pytest.mark.parametrize("lesson", PLAYERS_IN)
def test_a_lesson_ends_with_its_players_and_the_section_on_the_documents(tmp_path: Path, lesson: str) -> None:
    book = Gatherer(tmp_path, contents())
    path = next(path for path in book.contents.lessons if path.stem == lesson)
    book._lesson(path)
    cells = [
        "".join(cell["source"])
        for cell in json.loads((tmp_path / path.with_suffix(".ipynb")).read_text())["cells"]
    ]
    assert all(f"{{player}} {name}" in text for name in PLAYERS_IN[lesson] for text in cells if text.startswith("## Try it"))
    titles = [text.split("\n")[0].lstrip("# 0123456789·") for text in cells if text.startswith("## ")]
    documents = [title for title in titles if title.startswith("What the documents say")]
    assert titles[titles.index("Try it") + 1:] == documents


def test_the_table_of_players_names_each_with_its_lesson() -> None:
    rows = [
        line
        for line in (ROOT / "lessons" / "README.md").read_text(encoding="utf-8").split("\n")
        if line.startswith("| ")
    ]
    for lesson, names in PLAYERS_IN.items():
        number = lesson.split("_")[0].lstrip("0") or "0"
        assert f"| {number} | {'; '.join(players.find(name).TITLE for name in names)} |" in rows


def test_an_exercise_has_its_task_and_its_hints_but_no_answer() -> None:
    for folder in contents().exercises:
        text = exercises.page(ROOT / folder)
        assert text.startswith("# ") and f"minipar exercise start {folder.name}" in text
        assert text.count("<details") == text.count("</details>") > 0
        assert (ROOT / folder / "solution.py").read_text(encoding="utf-8").strip() not in text


def test_every_public_name_has_a_page_with_its_docstring() -> None:
    pages = dict(reference.pages())
    assert set(pages) == {"index", *mp.__all__}
    assert "py:function} minipar.run(size: int" in pages["run"] and ">>> mp.run(4" in pages["run"]
    assert "py:class} minipar.Layout" in pages["Layout"] and all(
        f"({name}.md)" in pages["index"] for name in mp.__all__
    )


def test_a_docstring_as_markdown() -> None:
    doc = "Adds a_b * c to `x_y`.\n\n    shape [n]\n    dtype\n\nMore.\n\n>>> 1 + 1\n2"
    assert reference.markdown(doc).split("\n\n") == [
        "Adds a\\_b \\* c to `x_y`.",
        "```text\nshape [n]\ndtype\n```",
        "More.",
        "```python\n>>> 1 + 1\n2\n```",
    ]


def test_the_ring_in_rounds() -> None:
    """p = 3: 2 (p - 1) rounds, in each of which every rank sends one chunk to its right."""
    rounds = collective.run("all_reduce", "ring", 3)
    assert len(rounds) == 4
    assert all(
        sorted((one.source, one.dest, len(one.cells)) for one in turn.messages)
        == [(0, 1, 1), (1, 2, 1), (2, 0, 1)]
        for turn in rounds
    )
    assert {cell for turn in rounds for held in turn.held for cell in held} >= {0x007, 0x107, 0x207}


def test_a_deadlock_is_recorded_until_its_message() -> None:
    happenings, message = waits.execute(*waits.PROGRAMS["receive first"])
    assert [(one.rank, one.call, one.peer) for one in happenings] == [(0, "recv", 1), (1, "recv", 0)]
    assert message.startswith("deadlock, a cycle of waiting 0 -> 1 -> 0")


def test_a_step_of_zero_holds_and_sends_what_plan_says() -> None:
    found, (model, train, layout) = sharding.run("3", 1), sharding.configs("3", 1)
    ledger = training_memory(model, train, layout, 0, computed_pairs)
    assert found["held"][0] == [getattr(ledger, line) for line in sharding.LINES]
    sent = by_axis(step_traffic(model, train, layout, 0, select))["dp"].bytes
    assert sum(one["sent"][0] for one in found["moments"]) == sent > 0


def test_a_training_through_three_deaths_has_the_losses_of_one_without() -> None:
    lives = elastic.lives(elastic.run(2))
    assert [(life["killed"], life["dp"]) for life in lives] == [(7, 4), (2, 3), (5, 3), (None, 2)]
    assert {loss for life in lives for _, loss in life["steps"]} == set(elastic.undisturbed())


def test_the_blocks_of_a_cache_hold_the_texts_of_the_tables() -> None:
    moments = cache.Recorder("recompute", share=True).run()
    for moment in moments:
        for table, text in moment["tables"].values():
            assert all(
                text[cache.SIZE * number :].startswith(moment["blocks"][block][1])
                for number, block in enumerate(table)
            )
    assert min(moments[-1][name] for name in ("shared", "copies", "preemptions", "evictions")) > 0


def test_static_and_continuous_batches_of_the_same_requests() -> None:
    static, continuous = (batch.run(3, 8, way) for way in batch.WAYS)
    for passes in (static, continuous):
        assert [sum(request in one["got"] for one in passes) for request in range(8)] == [
            one.tokens for one in batch.ARRIVALS
        ]
    assert len(continuous) < len(static) and sum(batch.first_tokens(continuous)) < sum(
        batch.first_tokens(static)
    )


def test_gradients_of_a_parameter_server_take_their_seconds() -> None:
    applied, weights = asynchronous.run("slow", "asynchronous")
    gradients = asynchronous.gradients(applied, "slow", "asynchronous")
    assert all(push - pull == (4 if worker == 0 else 1) for worker, _, pull, push, *_ in gradients)
    assert len(weights) == len(gradients) == asynchronous.WORKERS * asynchronous.STEPS
    assert max(one[6] for one in gradients if one[0] == 0) == 3 * 3, (
        "each fast worker pushes thrice before it"
    )


def test_a_page_of_players_needs_no_network() -> None:
    text = players.page("waits")
    assert (
        "<script src" not in text
        and "http://" not in text.replace("http://www.w3.org", "")
        and "https://" not in text
    )
