"""The layout explorer shows plan's numbers, and the reasons for which minipar refuses a layout."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from minipar.lessons.players import layout
from minipar.lessons.players.layout import BATCH, Choice

import minipar as mp
from minipar.errors import LayoutError
from minipar.nn.counts import computed_pairs
from minipar.parallel import TensorRegion
from minipar.plan.amounts import by_axis
from minipar.plan.memory import training_memory
from minipar.plan.traffic import step_traffic
from tests.browser import Page

SEED, LOOKED_AT = 15, 30


def ring(operation: str, nbytes: int, ranks: int, *, nodes: int) -> str:
    return "ring"


def set_to(page: Page, choice: Choice) -> None:
    page.choose("[aria-label=model]", choice.model)
    for label, value in (("dp, data parallel", choice.dp), ("tp, tensor parallel", choice.tp),
                         ("pp, pipeline parallel", choice.pp), ("micro-batches", choice.micro_batches),
                         ("recomputation", choice.recompute), ("sequence parallel", choice.sequence_parallel)):
        page.choose(f"[aria-label='{label}']", value)


def shown(page: Page) -> dict[str, list[int]]:
    """Line of the table -> bytes of each stage."""
    cells = page.run("[...document.querySelectorAll('td[data-line]')].map(one => [one.dataset.line, +one.dataset.bytes])")
    found: dict[str, list[int]] = {}
    for line, value in cells:
        found.setdefault(line, []).append(value)
    return found


def test_the_numbers_are_those_of_plan(player: Callable[[str], Page]) -> None:
    page = player("layout")
    trained = [choice for choice in layout.choices() if not layout.refusal(choice)]
    for choice in random.Random(SEED).sample(trained, LOOKED_AT):
        set_to(page, choice)
        found, (model, train, lay) = shown(page), choice.configs
        for stage in range(choice.pp):
            rank = stage * choice.dp * choice.tp
            ledger = training_memory(model, train, lay, rank, computed_pairs)
            sent = by_axis(step_traffic(model, train, lay, rank, ring))
            told = f"seed {SEED}: {choice}, stage {stage}"
            for line in layout.LINES:
                assert found[line][stage] == getattr(ledger, line), (told, line)
            assert found["total"][stage] == ledger.total, told
            assert {axis: found[axis][stage] for axis in layout.AXES if found[axis][stage]} == {
                axis: one.bytes for axis, one in sent.items() if one.bytes}, told
        pieces = min(choice.micro_batches, BATCH // choice.dp)
        assert page.text("[data-value=bubble]") == str(mp.simulate(mp.schedule("1f1b", choice.pp, pieces)).bubble())


@pytest.mark.parametrize("choice, word", [
    (Choice("small", 1, 8, 1, 1), "heads"), (Choice("small", 1, 1, 8, 1), "layer"),
    (Choice("gpt2", 2, 1, 2, 4, "full", True), "sequence parallelism")])
def test_a_refused_layout_says_why(player: Callable[[str], Page], choice: Choice, word: str) -> None:
    page = player("layout")
    set_to(page, choice)
    assert word in page.text("[data-value=refused]") and not page.run("document.querySelectorAll('td[data-line]').length")


def test_the_reasons_are_those_of_a_training() -> None:
    """Each is the text of the error that building the model on real ranks raises."""
    choice = Choice("small", 1, 8, 1, 1)
    with pytest.raises(LayoutError) as refused:
        mp.run(8, lambda comm: mp.GPT(choice.configs[0], region=TensorRegion(comm)))
    assert str(refused.value) == layout.refusal(choice)


def test_it_follows_keys_and_clicks(player: Callable[[str], Page]) -> None:
    page = player("layout")
    assert page.text("[data-value=bubble]") == "1/9"
    page.focus("[aria-label='pp, pipeline parallel']")
    page.press("ArrowDown")
    assert page.text("[data-value=bubble]") == "3/11" and len(shown(page)["weights"]) == 4
    before = shown(page)["activations"]
    page.click("[aria-label='sequence parallel']")
    assert all(after < one for after, one in zip(shown(page)["activations"], before, strict=True))


def test_a_screen_reader_finds_table_and_picture(player: Callable[[str], Page]) -> None:
    labels = player("layout").labels()
    assert any(role == "rowheader" and name == "activations" for role, name in labels)
    assert any(name.startswith("memory of each pipeline rank: rank 0") for _, name in labels)
