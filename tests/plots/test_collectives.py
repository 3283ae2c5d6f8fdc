"""The pictures of the collectives show what they are given."""

from minipar.lessons.plots.collectives import draw_race, draw_ring, draw_sent, draw_times

START = [[frozenset({0})] * 2, [frozenset({1})] * 2]
HALF_WAY = [[frozenset({0, 1}), frozenset({0})], [frozenset({1}), frozenset({0, 1})]]
END = [[frozenset({0, 1})] * 2] * 2


def test_a_ring_has_one_panel_per_step_and_marks_what_changed() -> None:
    figure = draw_ring([START, HALF_WAY, END])
    panels = [panel for panel in figure.axes if panel.patches]
    assert [panel.get_title() for panel in panels] == ["the start", "step 1: reduce-scatter",
                                                       "step 2: all-gather"]
    heavy = [[patch.get_linewidth() > 1 for patch in panel.patches] for panel in panels]
    assert heavy == [[False] * 4, [True, False, False, True], [False, True, True, False]]
    assert [text.get_text() for text in panels[1].texts] == ["all", "0", "1", "all"]


def test_curves_and_dots() -> None:
    by_size = {"tree": {8.0: 1e-5, 80.0: 2e-5}, "ring": {8.0: 2e-5, 80.0: 3e-5}}
    sent, counted = {"tree": {2: 1.0, 3: 2.0}, "ring": {2: 1.0, 3: 1.3}}, {"tree": (2, 1.0), "ring": (2, 1.0)}
    figures = draw_sent(sent, counted), draw_times(by_size, by_size, 40.0), draw_race(by_size, "2 threads")
    traffic, times, here = (figure.axes[0] for figure in figures)
    assert [len(axes.lines) for axes in (traffic, times, here)] == [4, 5, 2]
    assert "2 threads" in here.get_title() and times.get_xscale() == "log"
    assert len({line.get_color() for line in here.lines}) == 2
