"""The batch player: every pass is one that the scheduler may plan, and both ways write the same tokens."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from minipar.lessons.players.batch import ARRIVALS, BATCHES, ROWS, WAYS, first_tokens

from tests.book.site import recorded
from tests.browser import Page

LIMITS = list(itertools.product(BATCHES, ROWS))
RUNS = list(itertools.product(BATCHES, ROWS, WAYS))


@pytest.fixture(scope="module")
def runs() -> Any:
    return recorded("batch")["runs"]


@pytest.mark.parametrize("batch, rows, way", RUNS)
def test_every_pass_keeps_the_limits_and_all_requests_are_served(
    runs: Any, batch: int, rows: int, way: str
) -> None:
    passes = runs[str(batch)][str(rows)][way]
    computed, got = Counter[int](), Counter[int]()
    for number, one in enumerate(passes):
        assert len(one["rows"]) <= batch and sum(count for _, count, _ in one["rows"]) <= rows
        for request, count, decoding in one["rows"]:
            assert ARRIVALS[request].when <= number, "a request runs when it has arrived"
            assert bool(decoding) == (computed[request] >= ARRIVALS[request].prompt)
            computed[request] += count
        got.update(one["got"])
        assert set(one["got"]) <= {request for request, _, _ in one["rows"]}
    for request, arrival in enumerate(ARRIVALS):
        assert got[request] == arrival.tokens
        assert computed[request] == arrival.prompt + arrival.tokens - 1, "the last token is never computed"


@pytest.mark.parametrize("batch, rows", LIMITS)
def test_nobody_joins_a_static_batch(runs: Any, batch: int, rows: int) -> None:
    finished, members, added = set[int](), set[int](), 0
    for number, one in enumerate(runs[str(batch)][str(rows)]["static"]):
        if members <= finished:                                     # the next requests that have arrived
            last = min(added + batch, sum(arrival.when <= number for arrival in ARRIVALS))
            members, added = set(range(added, last)), last
        assert {request for request, _, _ in one["rows"]} <= members
        finished.update(one["finished"])


def test_continuous_batching_needs_fewer_passes_and_shorter_waits(runs: Any) -> None:
    for batch, rows in LIMITS:
        static, continuous = (runs[str(batch)][str(rows)][way] for way in WAYS)
        assert len(continuous) < len(static)
        assert sum(first_tokens(continuous)) < sum(first_tokens(static))


@pytest.mark.parametrize("batch, rows", LIMITS)
def test_the_page_shows_these_numbers(
    player: Callable[[str], Page], runs: Any, batch: int, rows: int
) -> None:
    page = player("batch")
    page.choose("[aria-label='run together']", batch)
    page.choose("[aria-label='tokens per pass']", rows)
    for way in WAYS:
        passes = runs[str(batch)][str(rows)][way]
        waits = first_tokens(passes)
        wanted = {"passes": len(passes), "mean": sum(waits) / len(waits), "most": max(waits),
                  "running": sum(len(one["rows"]) for one in passes) / len(passes)}
        shown = {name: float(page.text(f"[data-value='{way} {name}']")) for name in wanted}
        assert shown == pytest.approx(wanted, abs=6e-3)
    cells = sum(len(one["rows"]) for way in WAYS for one in runs[str(batch)][str(rows)][way])
    assert page.run("document.querySelectorAll('svg .mp-bar').length") == cells
    assert page.run("document.querySelectorAll('.mp-scroll > svg .mp-dot').length") == len(WAYS) * len(
        ARRIVALS
    )


def test_it_steps_by_clicks_and_by_keys(player: Callable[[str], Page]) -> None:
    page = player("batch")
    page.click("[aria-label='first step']")
    assert page.text(".mp-said").startswith("Start")
    page.focus(".mp-stage")
    page.press("ArrowRight", 2)
    assert "Continuous: prefill of 2 (6 tokens); decode of 0, 1." in page.text(".mp-said")
    page.press("End")
    assert "all have finished" in page.text(".mp-said")


def test_a_screen_reader_finds_picture_and_table(player: Callable[[str], Page]) -> None:
    labels = player("batch").labels()
    assert any(role == "rowheader" and name == "continuous" for role, name in labels)
    assert any("8 requests over 30 forward passes" in name for _, name in labels)
