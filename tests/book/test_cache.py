"""The cache player: at every moment the blocks hold the texts of the tables, and the counters are the
engine's.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from minipar.lessons.players.cache import BLOCKS, REQUESTS, SIZE, TEXTS

from minipar.inference.memory import PREEMPTIONS
from tests.book.site import recorded
from tests.browser import Page

RUNS = list(itertools.product(PREEMPTIONS, ("yes", "no")))


@pytest.fixture(scope="module")
def runs() -> Any:
    return recorded("cache")["runs"]


@pytest.mark.parametrize("preemption, share", RUNS)
def test_blocks_hold_what_the_tables_say(runs: Any, preemption: str, share: str) -> None:
    for moment in runs[preemption][share]:
        used = {block for table, _ in moment["tables"].values() for block in table}
        assert {number for number, (state, _) in enumerate(moment["blocks"]) if state == "in use"} == used
        for table, text in moment["tables"].values():
            assert len(set(table)) == len(table)
            for number, block in enumerate(table):
                assert text[number * SIZE : (number + 1) * SIZE].startswith(moment["blocks"][block][1]), (
                    moment["said"]
                )
        for state, text in moment["blocks"]:
            assert state != "free" or not text
            assert state != "cached" or len(text) == SIZE, "only full blocks can be found again"


@pytest.mark.parametrize("preemption, share", RUNS)
def test_only_equal_beginnings_and_samples_share_a_block(runs: Any, preemption: str, share: str) -> None:
    for moment in runs[preemption][share]:
        for (one, (table, text)), (other, (table2, text2)) in itertools.combinations(
            moment["tables"].items(), 2
        ):
            common = set(table) & set(table2)
            together = max((table.index(block) + 1 for block in common), default=0)
            assert table[:together] == table2[:together] and len(common) == together
            newest = one[0] == other[0]  # samples share a block that is not full, too
            full = max(0, min(len(text) - newest, len(text2) - newest, together * SIZE))
            assert text[:full] == text2[:full]
            assert share == "yes" or not common or one[0] == other[0]


def test_the_counters_are_those_of_the_words(runs: Any) -> None:
    for preemption, share in RUNS:
        moments = runs[preemption][share]
        words, last = Counter[str](), moments[-1]
        for moment in moments:
            words.update(
                key
                for key in ("copy on write", "is preempted", "has finished", "comes back")
                if key in moment["said"]
            )
        assert words["copy on write"] == last["copies"] and words["is preempted"] == last["preemptions"]
        assert words["has finished"] == sum(samples for _, _, samples in REQUESTS)
        assert words["comes back"] == (last["preemptions"] if preemption == "swap" else 0)
        assert not last["tables"] and not last["waiting"]
    first = runs["recompute"]["yes"][-1]
    assert all(first[name] > 0 for name in ("shared", "copies", "preemptions", "evictions")), (
        "the first run shows all"
    )
    assert runs["recompute"]["no"][-1]["shared"] == 0


def test_a_sample_begins_with_the_blocks_of_another(runs: Any) -> None:
    for preemption, share in RUNS:
        moment = next(one for one in runs[preemption][share] if one["said"].startswith("Request 2b starts"))
        assert moment["tables"]["2b"][0] == moment["tables"]["2a"][0]


def test_request_1_finds_the_beginning_of_request_0(runs: Any) -> None:
    moment = next(one for one in runs["recompute"]["yes"] if one["said"].startswith("Request 1 starts"))
    common = (
        next(i for i, pair in enumerate(zip(TEXTS[0], TEXTS[1], strict=True)) if len(set(pair)) > 1) // SIZE
    )
    assert moment["tables"]["0"][0][:common] == moment["tables"]["1"][0][:common] and common == 3
    assert moment["shared"] == common * SIZE


def test_the_page_shows_every_moment(player: Callable[[str], Page], runs: Any) -> None:
    page = player("cache")
    for preemption, share in RUNS:
        page.choose("[aria-label='prefix sharing']", share)
        page.choose("[aria-label='preemption']", preemption)
        page.focus(".mp-stage")
        for number, moment in enumerate(runs[preemption][share]):
            if number:
                page.press("ArrowRight")
            states = [state for state, _ in moment["blocks"]]
            shown = page.run("Object.fromEntries([...document.querySelectorAll('[data-value]')].map(one => "
                             "[one.dataset.value, +one.textContent]))")
            wanted = {state: states.count(state) for state in ("in use", "cached", "free")}
            assert shown == wanted | {
                key: moment[key] for key in ("shared", "copies", "preemptions", "evictions")
            }
            assert page.text(".mp-said") == moment["said"]
            chips = page.run("document.querySelectorAll('.mp-chip').length")
            assert chips == sum(len(table) for table, _ in moment["tables"].values())


def test_it_steps_by_clicks(player: Callable[[str], Page]) -> None:
    page = player("cache")
    assert page.text("[data-value=free]") == str(BLOCKS)
    page.click("[aria-label='forward step']")
    page.click("[aria-label='forward step']")
    assert page.text(".mp-said").startswith("Request 0 starts") and page.text("[data-value='in use']") == "3"


def test_a_screen_reader_hears_pool_and_tables(player: Callable[[str], Page]) -> None:
    page = player("cache")
    page.focus(".mp-stage")
    page.press("ArrowRight", 3)
    labels = [name for _, name in page.labels()]
    assert any('block 0 in use "the " request 0' in name for name in labels)
    assert any("block tables: request 0: 0 1 2" in name for name in labels)
