"""The timeline player shows every message and every instruction of a real trace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from minipar.lessons.players import timeline

from tests.book.site import recorded
from tests.browser import Page


def test_it_has_all_messages_and_all_instructions() -> None:
    data, events = recorded("timeline"), timeline.trace().events
    assert len(data["messages"]) == sum(event.kind == "send" for event in events)
    assert sum(one[6] for one in data["messages"]) == sum(
        event.bytes for event in events if event.kind == "send"
    )
    assert Counter(one[3] for one in data["computing"]) == {f"{kind}{micro}@{stage}": 4 for kind in "FB"
                                                            for micro in range(2) for stage in range(2)}
    assert all(begin < end and source != dest for source, dest, begin, end, *_ in data["messages"])


def test_messages_of_an_axis_stay_on_it() -> None:
    """World rank = (pp rank * dp + dp rank) * tp + tp rank."""
    def coordinates(rank: int) -> dict[str, int]:
        return {"tp": rank % 2, "dp": rank // 2 % 2, "pp": rank // 4}

    for source, dest, _, _, _, axis, _ in recorded("timeline")["messages"]:
        differ = {name for name, value in coordinates(source).items() if coordinates(dest)[name] != value}
        assert differ == {"pp" if axis == "tied" else axis}


def test_it_steps_by_clicks_and_by_keys(player: Callable[[str], Page]) -> None:
    page, data = player("timeline"), recorded("timeline")
    page.click("[aria-label='first step']")
    assert "At 0 µs: nobody computes" in page.text(".mp-said") and "tokens forward: 0 to 1" in page.text(
        ".mp-said"
    )
    assert page.text("[data-value=messages]") == str(len(data["messages"]))
    page.focus(".mp-stage")
    page.press("ArrowRight", 3)
    assert "computes F0" in page.text(".mp-said")
    page.click("[aria-label='messages of tp']")
    assert page.text("[data-value=messages]") == str(sum(one[5] != "tp" for one in data["messages"]))
    before = page.run("document.querySelector('svg').clientWidth")
    page.focus("[aria-label=zoom]")
    page.press("ArrowRight", 3)
    assert page.run("document.querySelector('svg').clientWidth") > 2 * before


def test_a_screen_reader_finds_the_picture(player: Callable[[str], Page]) -> None:
    assert any("8 ranks over" in name for _, name in player("timeline").labels())
