"""The schedule player computes what minipar's simulator computes, as exact fractions, and follows clicks and
keys.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

import minipar as mp
from minipar.schedules.costs import Costs
from minipar.schedules.footprint import peak_activations
from minipar.schedules.generators import SCHEDULES
from tests.browser import Page

NAMES = [name for name in SCHEDULES if name != "inference"]
SEED = 2026
SETTINGS = 600


def orders(page: Page, names: list[str]) -> list[list[object]]:
    """Every schedule of these names as the browser makes it, for 2 to 8 ranks and 1 to 16 micro-batches."""
    return page.run(f"""{json.dumps(names)}.flatMap(name => [2,3,4,5,6,7,8].flatMap(ranks =>
        Array.from({{length: 16}}, (_, i) => minipar.orders[name](ranks, i + 1)).map(one =>
        [one.stageToRank.join(), one.split, one.orders.map(order => order.map(step => step.join("")).join(" "))])))""")


def test_all_ten_schedules_are_the_same_lists(player: Callable[[str], Page]) -> None:
    page = player("schedule")
    assert len(NAMES) == 10
    for name in NAMES:
        expected = []
        for schedule in (
            mp.schedule(name, ranks, micros) for ranks in range(2, 9) for micros in range(1, 17)
        ):
            texts = [
                " ".join(f"{kind}{stage}{micro}" for kind, stage, micro in order) for order in schedule.orders
            ]
            expected.append([",".join(map(str, schedule.stage_to_rank)), schedule.split, texts])
        assert orders(page, [name]) == expected, name


def settings() -> list[tuple[str, int, int, dict[str, int]]]:
    draw = random.Random(SEED)
    return [(draw.choice(NAMES), draw.randint(2, 8), draw.randint(1, 16),
             {"F": draw.randint(1, 9), "B": draw.randint(0, 9), "W": draw.randint(0, 9),
              "message": draw.randint(0, 9)})
            for _ in range(SETTINGS)]


def test_times_are_those_of_the_simulator(player: Callable[[str], Page]) -> None:
    page = player("schedule")
    found = page.run(f"""{json.dumps(settings())}.map(one => {{ const run = minipar.simulate(...one);
        return [run.start, run.end, run.idle, run.total, run.perRank, run.kept.map(rank => rank.peak)]; }})""")
    for (name, ranks, micros, times), (start, end, idle, total, per_rank, peaks) in zip(
        settings(), found, strict=True
    ):
        told = f"seed {SEED}: {name}, {ranks} ranks, {micros} micro-batches, {times}"
        schedule = mp.schedule(name, ranks, micros)
        parts: dict[str, Any] = {kind: Fraction(times[kind], per_rank) for kind in "FBW"}
        timeline = mp.simulate(schedule, Costs(**parts, message=times["message"]))
        for js, python in ((start, timeline.start), (end, timeline.end)):
            assert [[Fraction(one, per_rank) for one in row] for row in js] == [
                list(row) for row in python
            ], told
        assert Fraction(idle, total) == timeline.bubble(), told
        assert peaks == peak_activations(schedule), told


@pytest.mark.parametrize("name, bubble", [("gpipe", "3/11"), ("zb-h1", "1/9"), ("naive", "3/4")])
def test_the_bubble_is_shown_as_a_fraction(player: Callable[[str], Page], name: str, bubble: str) -> None:
    page = player("schedule")
    page.choose("select", name)
    assert page.text("[data-value=bubble]") == bubble == str(mp.simulate(mp.schedule(name, 4, 8)).bubble())


def test_it_steps_by_clicks_and_by_keys(player: Callable[[str], Page]) -> None:
    page = player("schedule")
    assert "Time 33" in page.text(".mp-said")
    page.click("[aria-label='first step']")
    assert "Time 0: rank 0 F0, rank 1 waits" in page.text(".mp-said")
    page.click("[aria-label='forward step']")
    assert "Time 1: rank 0 F1, rank 1 F0" in page.text(".mp-said")
    page.focus(".mp-stage")
    page.press("ArrowRight", 2)
    assert "Time 3" in page.text(".mp-said")
    page.press("End")
    assert "rank 3 has finished" in page.text(".mp-said")
    page.press("ArrowLeft")
    assert "rank 0 B7" in page.text(".mp-said")


def test_sliders_take_keys(player: Callable[[str], Page]) -> None:
    page = player("schedule")
    page.focus("input[aria-label=ranks]")
    page.press("ArrowRight", 2)
    page.focus("input[aria-label='time of a message']")
    page.press("ArrowRight")
    timeline = mp.simulate(mp.schedule("1f1b", 6, 8), Costs(message=1))
    assert page.text("[data-value=bubble]") == str(timeline.bubble())
    assert page.text("[data-value=makespan]") == str(timeline.makespan)
    page.press("Home")
    page.focus(".mp-stage")
    page.press("Home")
    assert "In flight" not in page.text(".mp-said")


def test_a_screen_reader_finds_names_for_all_controls(player: Callable[[str], Page]) -> None:
    labels = player("schedule").labels()
    named = {name for role, name in labels if role in ("slider", "combobox", "MenuListPopup", "button")}
    assert {"schedule", "ranks", "micro-batches", "time of F", "time of a message", "forward step"} <= named
    assert ("status", "") in labels or any(role == "status" for role, _ in labels)
    assert any(role in ("image", "img") and "bars over time" in name for role, name in labels)
