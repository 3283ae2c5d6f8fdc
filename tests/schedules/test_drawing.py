"""Gantt charts, in text and as pictures, show what the simulation says."""

from __future__ import annotations

import errno
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from minipar.errors import CheckpointError, ConfigError
from minipar.plots.save import save
from minipar.plots.schedule import COLORS, draw_schedule
from minipar.schedules.costs import Costs
from minipar.schedules.gantt import gantt
from minipar.schedules.generators import SCHEDULES, make_schedule
from minipar.schedules.simulate import Timeline, simulate
from tests.refusals import refused


def test_text_with_every_instruction_written_out() -> None:
    assert gantt(simulate(make_schedule("1f1b", 2, 2)), 40) == [
        "rank 0  F0 F1 ......B0--- ...B1---",
        "rank 1  ...F0 B0--- F1 B1--- ......",
        "time    0                         9"]
    # a and b: a rank's first stage and its second
    assert gantt(simulate(make_schedule("zb-v", 2, 1)), 60) == [
        "rank 0  F0a ........F0b B0b W0b ........B0a W0a",
        "rank 1  ....F0a F0b ........B0b W0b B0a W0a ....",
        "time    0                                     10"]


def test_text_where_there_is_less_room() -> None:
    timeline = simulate(make_schedule("1f1b", 2, 2))
    assert gantt(timeline, 26) == [
        "rank 0  FFFF....BBBB..BBBB",
        "rank 1  ..FFBBBBFFBBBB....",
        "time    0                9"]
    assert max(map(len, gantt(timeline, 1))) == 16  # what the ranks' names and a few columns take


def test_text_of_times_that_are_no_whole_numbers() -> None:
    timeline = simulate(make_schedule("1f1b", 2, 1),
                        Costs(F=Fraction(1, 2), B=0.25, W=Fraction(1, 4), message=Fraction(1, 2)))
    assert gantt(timeline, 40) == ["rank 0  F0 ............B0", "rank 1  ......F0 B0 ......",
                                   "time    0                3"]
    free = simulate(make_schedule("1f1b", 1, 2), Costs(F=0))         # what takes no time has no place
    assert gantt(free, 40) == ["rank 0  B0- B1-", "time    0      4"]


@pytest.mark.parametrize("width", [44, 200])
@pytest.mark.parametrize("name", SCHEDULES)
def test_dots_are_the_bubble(name: str, width: int) -> None:
    timeline = simulate(make_schedule(name, 3, 4))
    *lines, ruler = gantt(timeline, width)
    assert len(lines) == 3 and max(map(len, [*lines, ruler])) <= width
    assert ("F3" in lines[0]) == (width == 200 or name == "inference")
    columns = 3 * (len(ruler) - len("rank 0  "))
    assert Fraction(sum(line.count(".") for line in lines), columns) == timeline.bubble()


def test_a_rank_of_more_stages_than_there_are_letters() -> None:
    first, _ = gantt(simulate(make_schedule("inference", 1, 1, 27)), 400)
    assert first.endswith("F0y-- F0z-- F0@26")


def bars(figure: Figure, rank: int) -> dict[str, list[tuple[float, float]]]:
    """Of each colour the bars in a rank's row, as (start, end)."""
    found: dict[str, list[tuple[float, float]]] = {}
    for collection in figure.axes[0].collections:
        assert isinstance(collection, PolyCollection)
        for path in collection.get_paths():
            (left, bottom), (right, top) = path.vertices.min(axis=0), path.vertices.max(axis=0)
            if bottom < rank < top:
                found.setdefault(to_hex(collection.get_facecolor()[0]), []).append((left, right))  # type: ignore[arg-type]
    return found


def intervals(timeline: Timeline, rank: int, kind: str, stage: int) -> list[tuple[float, float]]:
    steps = zip(timeline.schedule.orders[rank], timeline.start[rank], timeline.end[rank], strict=True)
    return [(float(start), float(end)) for step, start, end in steps if step.kind == kind
            and step.stage == stage]


def test_a_picture() -> None:
    timeline = simulate(make_schedule("zb-h1", 3, 4), Costs(F=1, B=1.5, W=0.5, message=0.25))
    figure = draw_schedule(timeline)
    axes = figure.axes[0]
    for rank in range(3):
        drawn = bars(figure, rank)
        for kind, color in COLORS.items():
            assert drawn.pop(color.lower()) == intervals(timeline, rank, kind, rank)
        # behind all of them, what shows where none is: the bubble
        assert list(drawn.values()) == [[(0, timeline.makespan)]]
    numbers = [text.get_text() for text in axes.texts if text.get_text().isdigit()]
    # micro-batches, and peaks
    assert sorted(numbers) == sorted(3 * 3 * ["0", "1", "2", "3"] + ["3", "3", "3"])
    assert axes.get_title(loc="left") == (
        f"zb-h1: 3 rank(s), 4 micro-batch(es); makespan {timeline.makespan:g}, bubble "
        f"{100 * timeline.bubble():.1f} % of all time")
    assert [text.get_text() for text in figure.legends[0].texts] == [
        "forward", "backward: gradient of the input", "gradient of the weights", "bubble"]
    assert axes.yaxis_inverted() and [tick.get_text()
                                      for tick in axes.get_yticklabels()] == ["rank 0", "rank 1", "rank 2"]


def test_later_stages_of_a_rank_are_paler() -> None:
    timeline = simulate(make_schedule("interleaved", 2, 2, 2))
    drawn = bars(draw_schedule(timeline), 1)
    assert drawn[COLORS["F"].lower()] == intervals(timeline, 1, "F", 1)
    assert len(drawn) == 5 and intervals(timeline, 1, "F", 3) in drawn.values()


def test_numbers_are_left_out_where_they_do_not_fit() -> None:
    numbers = [text.get_text()
               for text in draw_schedule(simulate(make_schedule("gpipe", 1, 80))).axes[0].texts]
    assert numbers.count("7") == 1 and "peak\nactivations" in numbers  # in B, which is twice as wide as F
    assert len(draw_schedule(simulate(make_schedule("gpipe", 1, 300))).axes[0].texts) == 2


def test_files(tmp_path: Path) -> None:
    figure = draw_schedule(simulate(make_schedule("inference", 2, 2)))
    save(figure, tmp_path / "a.png")
    save(figure, tmp_path / "a.SVG")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert ElementTree.parse(tmp_path / "a.SVG").getroot().tag.endswith("svg")
    with refused(ConfigError, "a.gif", ".png", ".svg"):
        save(figure, tmp_path / "a.gif")
    with refused(CheckpointError, item=str(tmp_path / "none" / "a.png"), errno=errno.ENOENT):
        save(figure, tmp_path / "none" / "a.png")
