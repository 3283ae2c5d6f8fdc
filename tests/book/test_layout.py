"""The layout explorer shows plan's numbers, and the reasons for which plan refuses a layout."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from minipar.lessons.players import layout
from minipar.lessons.players.layout import BATCH, ChosenLayout

import minipar as mp
from minipar.errors import LayoutError
from minipar.nn.counts import computed_pairs
from minipar.parallel import TensorRegion
from minipar.plan.memory import training_memory
from minipar.plan.traffic import step_traffic
from tests.browser import Page

SEED, COMPUTED, LOOKED_AT = 16, 400, 20
CONTROLS = {"model": "model", "dp": "dp, data parallel", "tp": "tp, tensor parallel",
            "pp": "pp, pipeline parallel", "micro_batches": "micro-batches", "recompute": "recomputation",
            "sequence_parallel": "sequence parallel",
            "zero": "stage of ZeRO", "reshard": "reshard after forward"}
AXES = ("tp", "pp", "dp", "tied")
DP_OPERATIONS = {"dp_reduce": "all_reduce sum", "dp_scatter": "reduce_scatter sum", "dp_gather": "all_gather"}


def ring(operation: str, nbytes: int, ranks: int, *, nodes: int) -> str:
    return "ring"


def planned(choice: ChosenLayout, stage: int, dp_rank: int = 0, tp_rank: int = 0) -> dict[str, int]:
    """The numbers of a rank from plan alone: lines of the ledger, bytes by axis, and those of dp by
    operation.
    """
    model, train, lay = choice.configs
    rank = (stage * choice.dp + dp_rank) * choice.tp + tp_rank
    ledger, lines = (
        training_memory(model, train, lay, rank, computed_pairs),
        step_traffic(model, train, lay, rank, ring),
    )
    found = {line: getattr(ledger, line) for line in layout.LINES} | {"total": ledger.total}
    found |= {axis: sum(one.bytes for line, one in lines.items() if line.axis == axis) for axis in AXES}
    found |= {name: sum(one.bytes for line, one in lines.items() if line[:2] == ("dp", op))
              for name, op in DP_OPERATIONS.items()}
    return found | {"sent": sum(one.bytes for one in lines.values())}


def sample(count: int, **fixed: object) -> list[ChosenLayout]:
    """Random choices that plan does not refuse; every third has an uneven size."""
    chance, found = random.Random(f"{SEED} {fixed}"), []
    while len(found) < count:
        values = {name: chance.choice(offered) for name, offered in layout.VALUES.items()}
        if len(found) % 3 == 0:
            values[chance.choice(("dp", "tp", "pp", "micro_batches"))] = 3
        choice = ChosenLayout(**{**values, **fixed})
        if not layout.refusal(choice):
            found.append(choice)
    return found


def chosen(choice: ChosenLayout) -> dict[str, Any]:
    return {name: getattr(choice, name) for name in CONTROLS}


def set_to(page: Page, choice: ChosenLayout) -> None:
    for name, label in CONTROLS.items():
        page.choose(f"[aria-label='{label}']", getattr(choice, name))


def shown(page: Page) -> dict[str, list[int]]:
    """Line of the table -> bytes of each stage."""
    cells = page.run(
        "[...document.querySelectorAll('td[data-line]')].map(one => [one.dataset.line, +one.dataset.bytes])"
    )
    found: dict[str, list[int]] = {}
    for line, value in cells:
        found.setdefault(line, []).append(value)
    return found


def bubble(choice: ChosenLayout) -> str:
    pieces = min(choice.micro_batches, -(-BATCH // choice.dp))
    return str(mp.simulate(mp.schedule("1f1b", choice.pp, pieces)).bubble())


@pytest.mark.parametrize("zero, reshard", [(0, True), (1, True), (2, True), (3, True), (3, False)])
def test_javascript_finds_the_numbers_of_plan(
    player: Callable[[str], Page], zero: int, reshard: bool
) -> None:
    choices = sample(COMPUTED // 5, zero=zero, reshard=reshard)
    asked = json.dumps([chosen(choice) for choice in choices])
    answers = player("layout").run(f"{asked}.map(one => minipar.layout(minipar.data.layout, one))")
    for choice, answer in zip(choices, answers, strict=True):
        told = f"seed {SEED}: {choice}"
        assert answer["stages"] == [planned(choice, stage) for stage in range(choice.pp)], told
        assert answer["bubble"] == bubble(choice), told
    assert any(choice.dp == 3 for choice in choices) and any(choice.recompute == "full" for choice in choices)


def test_the_table_shows_these_numbers(player: Callable[[str], Page]) -> None:
    page = player("layout")
    for choice in sample(LOOKED_AT):
        set_to(page, choice)
        rows = [planned(choice, stage) for stage in range(choice.pp)]
        assert shown(page) == {line: [row[line] for row in rows] for line in rows[0]}, (
            f"seed {SEED}: {choice}"
        )
        assert page.text("[data-value=bubble]") == bubble(choice)


def test_no_other_rank_of_a_stage_holds_more() -> None:
    """The table says so of rank 0 of dp and tp."""
    for choice in sample(60):
        for stage in range(choice.pp):
            totals = {(dp_rank, tp_rank): planned(choice, stage, dp_rank, tp_rank)["total"]
                      for dp_rank in (0, choice.dp - 1) for tp_rank in (0, choice.tp - 1)}
            assert totals[0, 0] == max(totals.values()), f"seed {SEED}: {choice}, stage {stage}"


def test_every_refusal_is_that_of_plan(player: Callable[[str], Page]) -> None:
    chance = random.Random(SEED)
    choices = [
        ChosenLayout(**{name: chance.choice(offered) for name, offered in layout.VALUES.items()})
        for _ in range(COMPUTED)
    ]
    asked = json.dumps([chosen(choice) for choice in choices])
    answers = player("layout").run(f"{asked}.map(one => minipar.layout(minipar.data.layout, one))")
    reasons = [answer if isinstance(answer, str) else "" for answer in answers]
    assert (
        reasons == [layout.refusal(choice) for choice in choices] and 50 < sum(map(bool, reasons)) < COMPUTED
    )


@pytest.mark.parametrize("choice, word", [
    (ChosenLayout("small", 1, 8, 1, 1), "heads"), (ChosenLayout("small", 1, 1, 8, 1), "layer"),
    (ChosenLayout("gpt2", 2, 1, 2, 3, "full", True), "sequence parallelism"),
    (ChosenLayout("gpt2", 2, zero=2, reshard=False), "nothing to reshard")])
def test_a_refused_layout_says_why(player: Callable[[str], Page], choice: ChosenLayout, word: str) -> None:
    page = player("layout")
    set_to(page, choice)
    assert word in page.text("[data-value=refused]") and not page.run(
        "document.querySelectorAll('td[data-line]').length"
    )


def test_training_refuses_heads_and_layers_too() -> None:
    with pytest.raises(LayoutError, match="heads"):
        mp.run(8, lambda comm: mp.GPT(ChosenLayout("small", tp=8).configs[0], region=TensorRegion(comm)))


def test_it_follows_keys_and_clicks(player: Callable[[str], Page]) -> None:
    page = player("layout")
    assert page.text("[data-value=bubble]") == "1/9"
    page.focus("[aria-label='pp, pipeline parallel']")
    page.press("ArrowDown")
    assert page.text("[data-value=bubble]") == "1/5" and len(shown(page)["weights"]) == 3
    before = shown(page)
    page.click("[aria-label='sequence parallel']")
    assert all(
        after < one for after, one in zip(shown(page)["activations"], before["activations"], strict=True)
    )
    page.focus("[aria-label='stage of ZeRO']")
    page.press("ArrowDown")
    now = shown(page)
    assert now["optimizer"][0] < before["optimizer"][0] and now["gradients"] == before["gradients"]
    assert all(now["dp_scatter"]) and not any(before["dp_scatter"])
    page.press("ArrowDown", 2)
    once = shown(page)["dp_gather"]
    page.click("[aria-label='reshard after forward']")
    assert all(gathered == 16 * one for gathered, one in zip(once, shown(page)["dp_gather"], strict=True)), \
        "8 micro-batches gather for each forward and each backward"


def test_a_screen_reader_finds_table_and_picture(player: Callable[[str], Page]) -> None:
    labels = player("layout").labels()
    assert any(role == "rowheader" and name == "buffers for whole units" for role, name in labels)
    assert any(name.startswith("memory of each pipeline rank: rank 0") for _, name in labels)
    assert ("combobox", "stage of ZeRO") in [(role.lower(), name) for role, name in labels]
