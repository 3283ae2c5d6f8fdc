"""The picture of a step's memory has a colour for every line of the ledger."""

from __future__ import annotations

from minipar.plots.trace import COLORS, draw_memory
from minipar.trace.step import LINES


def test_every_line_has_a_colour_and_empty_ones_are_left_out() -> None:
    assert set(LINES) == set(COLORS)
    figure = draw_memory([dict.fromkeys(LINES, 2048) | {"residuals": 0}] * 2, [4096, 4096])
    labels = {text.get_text() for text in figure.legends[0].get_texts()}
    assert set(LINES) - labels == {"residuals"}
