"""The collective player: the rounds of the real algorithms, whose steps, bytes and seconds are those of
`plan`.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from minipar.lessons.players import collective

from minipar.comm.collectives.table import ALGORITHMS
from minipar.plan import collectives as closed
from minipar.plan.collective_times import SEGMENT_BYTES, TIMES, Links
from tests.book.site import recorded
from tests.browser import Page

# (operation, algorithm) -> its closed form, and what it takes: counts of p elements, or their number
FORMULAS: dict[tuple[str, str], tuple[Callable[..., closed.CollectiveTraffic], str]] = {
    ("all_reduce", "ring"): (closed.ring_all_reduce, "n"),
    ("broadcast", "tree"): (closed.tree_broadcast, "n"),
    ("all_gather", "bruck"): (closed.bruck_all_gather, "counts"),
    ("reduce_scatter", "naive"): (closed.naive_reduce_scatter, "counts"),
    ("all_to_all", "pairwise"): (closed.direct_all_to_all, "counts"),
}
ALPHA = Fraction(1000)                                              # a message costs as much as 1000 bytes


@pytest.fixture(scope="module")
def runs() -> Any:
    return recorded("collective")


def test_every_algorithm_that_sends_is_there(runs: Any) -> None:
    for operation, names in ALGORITHMS.items():
        assert set(runs[operation]) == set(names) - {"native", "shared"}
        assert all(list(map(int, sizes)) == list(range(2, 9)) for sizes in runs[operation].values())


def test_all_ranks_end_with_what_the_operation_promises(runs: Any) -> None:
    for operation, name in collective.algorithms():
        for size, run in ((int(key), run) for key, run in runs[operation][name].items()):
            held = [set(first).union(*(turn["held"][rank] for turn in run["rounds"]))
                    for rank, first in enumerate(run["first"])]
            everyone, per_rank = (1 << size) - 1, run["cells"] // size
            for rank, mine in enumerate(held):
                blocks = range(rank * per_rank, (rank + 1) * per_rank)
                wanted = {
                    "broadcast": [cell << 8 | 1 for cell in range(run["cells"])],
                    "reduce": [cell << 8 | everyone for cell in range(run["cells"])] if rank == 0 else [],
                    "all_reduce": [cell << 8 | everyone for cell in range(run["cells"])],
                    "reduce_scatter": [cell << 8 | everyone for cell in blocks],
                    "all_gather": [other << 8 | 1 << other for other in range(size)],
                    "gather": [other << 8 | 1 << other for other in range(size)] if rank == 0 else [],
                    "scatter": [cell << 8 | 1 for cell in blocks],
                    "all_to_all": [(other * size + rank) << 8 | 1 << other for other in range(size)],
                }[operation]
                assert set(wanted) <= mine, (operation, name, size, rank)


def test_rounds_cost_what_the_cost_model_says(runs: Any) -> None:
    """Exactly, for every number of ranks."""
    looked = 0
    for operation, name in collective.algorithms():
        for size, run in ((int(key), run) for key, run in runs[operation][name].items()):
            if (formula := TIMES[operation].get(name)) is None:
                continue
            n = 2 * size * SEGMENT_BYTES if name == "segmented" else run["cells"]
            cell = Fraction(n, run["cells"])
            time = sum(
                ALPHA + max(len(cells) for *_, cells in turn["messages"]) * cell for turn in run["rounds"]
            )
            assert time == formula(size, n, Links(ALPHA, Fraction(1))), (operation, name, size)
            looked += 1
    assert looked == 7 * (len(list(collective.algorithms())) - 1)   # all but the hierarchical one


@pytest.mark.parametrize("operation, name", FORMULAS)
@pytest.mark.parametrize("size", [4, 7])
def test_what_it_shows_is_counted(
    player: Callable[[str], Page], operation: str, name: str, size: int
) -> None:
    """The busiest rank's bytes of 1 KiB per cell, beside the closed form."""
    page = player("collective")
    page.choose("[aria-label=operation]", operation)
    page.choose("[aria-label=algorithm]", name)
    page.choose("[aria-label=ranks]", size)
    page.focus(".mp-stage")
    page.press("End")
    formula, argument = FORMULAS[operation, name]
    sent = [formula(size, rank, [1] * size if argument == "counts" else size) for rank in range(size)]
    shown, unit = page.text("[data-value=bytes]").split()
    scale = {"bytes": 1, "KiB": 1024}[unit]
    assert float(shown) * scale == pytest.approx(max(one.elements for one in sent) * 1024 / size, rel=1e-3)
    assert int(page.text("[data-value=steps]")) >= max(one.messages for one in sent)


def test_it_steps_by_clicks_and_by_keys(player: Callable[[str], Page]) -> None:
    page = player("collective")
    assert page.text("[data-value=steps]") == "0"
    page.click("[aria-label='forward step']")
    assert "Step 1: rank 0 to 1: chunk 3" in page.text(".mp-said")
    page.focus(".mp-stage")
    page.press("ArrowRight")
    assert "chunk 2 (sum of 03)" in page.text(".mp-said")
    page.press("End")
    assert page.text("[data-value=steps]") == "6" and page.text(".mp-counter") == "step 6 of 6"
    full = page.run("[...document.querySelectorAll('svg g title')].map(one => one.textContent)")
    assert full == ["contributions of ranks 0, 1, 2, 3"] * 16
    page.press("Home")
    page.choose("[aria-label=operation]", "all_to_all")
    page.choose("[aria-label=algorithm]", "bruck")
    page.press("End")
    assert "block" in page.text(".mp-said")


def test_a_screen_reader_finds_the_picture(player: Callable[[str], Page]) -> None:
    assert any(
        "what 4 ranks hold after step 0 of all_reduce" in name for _, name in player("collective").labels()
    )
