"""The sharding player: bytes held and sent are those of `plan`, and a unit runs only where it is whole."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from minipar.lessons.players import sharding
from minipar.lessons.players.sharding import LINES, MICRO_BATCHES, RANKS, STAGES, configs

import minipar as mp
from minipar.comm.collectives import select
from minipar.nn.counts import computed_pairs
from minipar.plan.amounts import by_axis
from minipar.plan.memory import training_memory
from minipar.plan.traffic import step_traffic
from tests.book.site import recorded
from tests.browser import Page

RUNS = list(itertools.product(STAGES, MICRO_BATCHES))


@pytest.fixture(scope="module")
def runs() -> Any:
    return recorded("sharding")["runs"]


def planned_bytes(stage: str, micro_batches: int, rank: int) -> int:
    model, train, layout = configs(stage, micro_batches)
    return by_axis(step_traffic(model, train, layout, rank, select))["dp"].bytes


def planned_lines(stage: str, micro_batches: int, rank: int) -> list[int]:
    model, train, layout = configs(stage, micro_batches)
    ledger = training_memory(model, train, layout, rank, computed_pairs)
    return [getattr(ledger, line) for line in LINES]


@pytest.mark.parametrize("stage, micro_batches", RUNS)
def test_the_totals_are_those_of_plan(runs: Any, stage: str, micro_batches: int) -> None:
    run = runs[stage][str(micro_batches)]
    for rank in range(RANKS):
        assert run["held"][rank] == planned_lines(stage, micro_batches, rank)
        assert sum(one["sent"][rank] for one in run["moments"]) == planned_bytes(stage, micro_batches, rank)


@pytest.mark.parametrize("stage", ["3", "3 kept"])
def test_a_unit_runs_when_its_weights_are_whole(runs: Any, stage: str) -> None:
    moments = runs[stage]["2"]["moments"]
    running = [one for one in moments if one["said"].startswith(("forward", "backward"))]
    assert len(running) == 2 * 2 * (sharding.MODEL.layers + 2)
    assert all(one["weights"][unit] == "whole" for one in running for unit in one["units"])
    blocks = [sum(unit.startswith("blocks.") for unit in one["weights"]) for one in moments]
    assert max(blocks) == (2 if stage == "3" else sharding.MODEL.layers), (
        "blocks share two buffers, or have their own"
    )
    ended = [one["weights"] for one in moments if one["said"].endswith("has ended")]
    assert all(bool(one) == (stage == "3 kept") for one in ended)


def test_all_ranks_do_the_same_in_the_same_order() -> None:
    """So the player may show one list of moments for all ranks."""
    ranks = mp.run(RANKS, sharding.one_step, "3", 2)
    lists = [[(one["said"], one["weights"], one["gradients"]) for one in moments] for moments, _ in ranks]
    assert all(one == lists[0] for one in lists[1:])


def test_the_page_shows_these_numbers(player: Callable[[str], Page]) -> None:
    page = player("sharding")
    for stage, micro_batches in RUNS:
        page.choose("[aria-label='stage of ZeRO']", stage)
        page.choose("[aria-label='micro-batches']", micro_batches)
        sent = max(planned_bytes(stage, micro_batches, rank) for rank in range(RANKS))
        assert shown(page, "all") == sent and shown(page, "sent") == 0
        assert shown(page, "held") == max(
            sum(planned_lines(stage, micro_batches, rank)) for rank in range(RANKS)
        )
        page.focus(".mp-stage")
        page.press("End")
        assert shown(page, "sent") == sent


def shown(page: Page, name: str) -> int:
    return int(page.run(f"document.querySelector('[data-value={name}]').dataset.bytes"))


def test_it_steps_by_clicks_and_by_keys(player: Callable[[str], Page], runs: Any) -> None:
    page, moments = player("sharding"), runs["3"]["1"]["moments"]
    page.click("[aria-label='forward step']")
    assert "all-gather: weights of positions; each rank sends 192 bytes" in page.text(".mp-said")
    page.focus(".mp-stage")
    page.press("ArrowRight", 5)
    assert moments[6]["said"] == "forward of blocks.0" and "blocks.0" in page.text(".mp-said")
    titles = page.run("[...document.querySelectorAll('svg g title')].map(one => one.textContent)")
    assert titles.count("gathered of blocks.0: whole") == titles.count("gathered of blocks.1: moves") == RANKS
    assert sum("weights of blocks.0: shard of rank 2" == title for title in titles) == 1


def test_a_screen_reader_hears_what_is_whole(player: Callable[[str], Page]) -> None:
    assert any("what 4 ranks hold at step 0 of ZeRO stage 3: weights a shard" in name
               for _, name in player("sharding").labels())
