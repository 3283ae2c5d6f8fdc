"""The elastic player: three deaths, and a training that does not notice them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from minipar.lessons.players import elastic
from minipar.lessons.players.elastic import DEATHS, EVERY, LAYOUTS, RANKS, STEPS

from minipar.training.elastic import choose_layout
from tests.book.site import recorded
from tests.browser import Page


@pytest.fixture(scope="module")
def data() -> Any:
    return recorded("elastic")


def lives(data: Any, every: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = data["runs"][str(every)]
    return found


@pytest.mark.parametrize("every", EVERY)
def test_each_life_begins_at_the_newest_replica_on_the_largest_layout(data: Any, every: int) -> None:
    replica, ranks = 0, RANKS
    for life, (killed, step) in zip(lives(data, every), (*DEATHS, (None, STEPS)), strict=True):
        layout = choose_layout(LAYOUTS, ranks)
        assert (life["ranks"], life["dp"], life["pp"]) == (ranks, layout.dp, layout.pp)
        assert life["first"] == replica and life["killed"] == killed
        assert [one for one, _ in life["steps"]] == list(range(replica, step))
        assert life["replicas"] == [
            one for one in range(replica + 1, step + 1) if one % every == 0 or one == STEPS
        ]
        replica, ranks = max([replica, *life["replicas"]]), ranks - 1


@pytest.mark.parametrize("every", EVERY)
def test_no_bit_of_a_loss_knows_of_the_deaths(data: Any, every: int) -> None:
    losses: dict[int, set[float]] = {}
    for life in lives(data, every):
        for step, loss in life["steps"]:
            losses.setdefault(step, set()).add(loss)
    assert losses == {step: {loss} for step, loss in enumerate(data["undisturbed"])}


def test_every_run_is_the_same(data: Any) -> None:
    """Threads run in another order each time; what is recorded does not depend on it."""
    again = elastic.RecordedTraining(1)
    again.run(elastic.faults(1))
    assert elastic.lives(again) == lives(data, 1)


@pytest.mark.parametrize("every", EVERY)
def test_the_page_counts_steps_deaths_and_ranks(player: Callable[[str], Page], data: Any, every: int) -> None:
    page, found = player("elastic"), lives(data, every)
    page.choose("select", every)
    assert page.text("[data-value=executed]") == "0" and page.text("[data-value=left]") == str(RANKS)
    page.focus(".mp-stage")
    page.press("End")
    executed = sum(len(life["steps"]) for life in found)
    shown = {
        name: int(page.text(f"[data-value={name}]")) for name in ("executed", "repeated", "deaths", "left")
    }
    assert shown == {"executed": executed, "repeated": executed - STEPS, "deaths": len(DEATHS),
                     "left": RANKS - len(DEATHS)}
    assert page.text("[data-value=layout]") == f"dp {found[-1]['dp']}, pp {found[-1]['pp']}"
    assert page.run("document.querySelectorAll('svg .mp-bar').length") == executed
    assert page.run("document.querySelectorAll('.mp-scroll > svg .mp-dot').length") == sum(
        len(life["replicas"]) for life in found
    )
    assert page.run("document.querySelectorAll('.mp-cross').length") == len(DEATHS)


def test_it_steps_by_clicks_and_by_keys(player: Callable[[str], Page], data: Any) -> None:
    page = player("elastic")
    assert page.text(".mp-said").startswith("Life 0 begins, with dp 4 and pp 2 on 8 of 8 ranks")
    page.click("[aria-label='forward step']")
    assert page.text(".mp-said").startswith(
        "Step 0: loss"
    ) and "the same bits as without deaths" in page.text(".mp-said")
    page.focus(".mp-stage")
    page.press("ArrowRight", 3)
    assert (
        page.text(".mp-said").startswith("Rank 7 dies in step 3")
        and page.run("document.querySelectorAll('.mp-dead').length") == 1
    )
    page.press("ArrowRight")
    assert "dp 3 and pp 2 on 6 of 7 ranks; 1 rank is spare" in page.text(".mp-said")
    page.press("ArrowRight")
    assert "Step 2 runs again" in page.text(".mp-said")


def test_a_screen_reader_hears_ranks_and_lives(player: Callable[[str], Page]) -> None:
    page = player("elastic")
    page.click("[aria-label='last step']")
    labels = [name for _, name in page.labels()]
    assert any("4 ranks as dp 2, pp 2, and 1 spare" in name for name in labels)
    assert any("life 3: steps from 8, 2 finished" in name for name in labels)
