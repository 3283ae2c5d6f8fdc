"""The asynchronous player: times, versions and weights agree with the definition of a parameter server."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from minipar.lessons.players.asynchronous import MODES, RATES, SPEEDS, START, STEPS, WORKERS

from tests.book.site import recorded
from tests.browser import Page

RUNS = list(itertools.product(SPEEDS, MODES))


@pytest.fixture(scope="module")
def runs() -> Any:
    return recorded("asynchronous")["runs"]


@pytest.mark.parametrize("speed, mode", RUNS)
def test_each_gradient_takes_its_time_and_waits_as_the_mode_says(runs: Any, speed: str, mode: str) -> None:
    gradients = runs[speed][mode]["gradients"]
    assert len(gradients) == WORKERS * STEPS
    for worker in range(WORKERS):
        mine = [one for one in gradients if one[0] == worker]
        assert [one[1] for one in mine] == list(range(STEPS))
        assert all(one[3] - one[2] == SPEEDS[speed][1](worker, one[1]) for one in mine)
        waits = [after[2] - before[4] for before, after in itertools.pairwise(mine)]
        assert min(waits) >= 0 and (mode != "asynchronous" or not any(waits))
    bound = MODES[mode][1].get("bound")
    for one in gradients:
        if bound is not None:  # at the pull of step s, all have s - bound steps
            applied = [
                sum(other[0] == worker and other[4] <= one[2] for other in gradients)
                for worker in range(WORKERS)
            ]
            assert min(applied) >= one[1] - bound


@pytest.mark.parametrize("speed, mode", RUNS)
def test_weights_follow_from_the_versions(runs: Any, speed: str, mode: str) -> None:
    """Update k adds -rate times the weight of the version that its gradient saw."""
    run = runs[speed][mode]
    for number, rate in enumerate(RATES):
        versions = [START]
        for update, after in enumerate(run["weights"], 1):
            mine = [one for one in run["gradients"] if one[5] == update]
            versions.append(versions[-1] - rate * sum(versions[update - 1 - one[6]] for one in mine))
            assert after[number] == pytest.approx(versions[-1], rel=1e-12)


def test_staleness_counts_the_updates_since_the_pull(runs: Any) -> None:
    for speed, mode in RUNS:
        for worker, _, pull, _, applied, update, staleness in runs[speed][mode]["gradients"]:
            between = {one[5] for one in runs[speed][mode]["gradients"] if pull < one[4] < applied}
            tied = {
                one[5]
                for one in runs[speed][mode]["gradients"]
                if one[4] in (pull, applied) and one[0] != worker
            }
            assert len(between) <= staleness <= len(between | tied) and staleness < update


@pytest.mark.parametrize("speed, mode", RUNS)
def test_the_page_shows_these_numbers(
    player: Callable[[str], Page], runs: Any, speed: str, mode: str
) -> None:
    page, gradients = player("asynchronous"), runs[speed][mode]["gradients"]
    page.choose("[aria-label='speed of the workers']", speed)
    page.choose("[aria-label='who waits']", mode)
    busy = sum(one[3] - one[2] for one in gradients)
    ends = sum(max(one[4] for one in gradients if one[0] == worker) for worker in range(WORKERS))
    number = {
        name: float(page.text(f"[data-value={name}]").removesuffix(" s"))
        for name in ("end", "oldest", "mean", "waited")
    }
    assert number["end"] == max(one[4] for one in gradients) and number["oldest"] == max(
        one[6] for one in gradients
    )
    assert number["mean"] == pytest.approx(sum(one[6] for one in gradients) / len(gradients), rel=5e-3)
    assert number["waited"] == pytest.approx(ends - busy, rel=5e-3)
    assert page.run("document.querySelectorAll('svg .mp-bar').length") == len(gradients)


def test_it_steps_by_clicks_and_by_keys(player: Callable[[str], Page]) -> None:
    page = player("asynchronous")
    page.click("[aria-label='first step']")
    assert "version 0" in page.text(".mp-said")
    page.focus(".mp-stage")
    page.press("ArrowRight", 10)
    assert "gradient 0 of worker 0" in page.text(".mp-said") and "staleness is 9" in page.text(".mp-said")
    assert page.run("document.querySelectorAll('.mp-now').length") == 1
    page.choose("[aria-label='who waits']", "synchronous")
    assert page.text(".mp-counter") == f"step {STEPS} of {STEPS}"
    assert page.run("document.querySelectorAll('.mp-now').length") == WORKERS


def test_a_screen_reader_finds_the_picture(player: Callable[[str], Page]) -> None:
    assert any("4 workers and a server over 24 s" in name for _, name in player("asynchronous").labels())
