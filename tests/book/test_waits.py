"""The wait graph player: five real deadlocks, the same steps in every run."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from minipar.lessons.players import waits

from minipar.comm.deadlock.wait_graph import State, cycle
from tests.book.site import recorded
from tests.browser import Page

CYCLES = {"receive first": [0, 1], "send first": [0, 1], "ring": [0, 3, 2, 1], "only rank 0": [],
          "pipeline": [0, 1]}


def waiting(run: dict) -> dict[int, int]:
    """Rank -> the rank it waits for, at the end."""
    last = {rank: peer for rank, _, _, peer in run["steps"]}
    return {rank: peer for rank, peer in last.items() if peer is not None}


@pytest.mark.parametrize("name", waits.PROGRAMS)
def test_the_last_step_is_the_state_that_minipar_reports(name: str) -> None:
    run = recorded("waits")[name]
    final = waiting(run)
    states = [
        State("waiting", final[rank]) if rank in final else State("finished") for rank in range(run["ranks"])
    ]
    assert cycle(states) == CYCLES[name]
    assert ("a cycle of waiting" if CYCLES[name] else "the partner has left") in run["message"]
    for rank in final:
        line = next(line for one, _, line, peer in reversed(run["steps"]) if one == rank and peer is not None)
        assert f"deadlocks.py:{line}" in run["message"]


@pytest.mark.parametrize("name", waits.PROGRAMS)
def test_every_run_has_the_same_steps(name: str) -> None:
    first = waits.execute(*waits.PROGRAMS[name])
    assert all(waits.execute(*waits.PROGRAMS[name])[0] == first[0] for _ in range(5))


def test_it_steps_until_the_message(player: Callable[[str], Page]) -> None:
    page = player("waits")
    for name, run in recorded("waits").items():
        page.choose("select", name)
        assert page.text(".mp-said").startswith("Start") and page.text("[data-value=message]") == ""
        page.click("[aria-label='forward step']")
        assert page.text(".mp-said").startswith("Step 1: rank 0")
        page.focus(".mp-stage")
        page.press("ArrowRight", len(run["steps"]))
        assert page.text("[data-value=message]").replace("\u2060", "") == f"minipar: {run['message']}"
        assert page.run("document.querySelectorAll('.mp-ring').length") == len(CYCLES[name])
        assert page.run("document.querySelectorAll('line.mp-flight').length") == len(waiting(run))
        code = page.run(
            "[...document.querySelectorAll('.mp-line')].map(one => one.textContent.slice(5).split(' rank ')[0].trimEnd())"
        )
        assert [one.split("  rank")[0].rstrip() for one in code][0] == run["code"].split("\n")[0]


def test_a_screen_reader_hears_who_waits_for_whom(player: Callable[[str], Page]) -> None:
    page = player("waits")
    page.click("[aria-label='last step']")
    assert any(name.startswith("wait graph: rank 0 waits for rank 1 in recv") for _, name in page.labels())
