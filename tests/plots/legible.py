"""Finds what a reader in the last row cannot read in a picture: text that is cut off at the edge, text that lies
on other text or under a legend, text through which a curve goes, and text that is too small.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any, BinaryIO
from unittest import mock

from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.transforms import Bbox

SMALLEST = 0.7  # points per inch of a screen of 16:9 that shows the whole picture: 1 % of the screen's width
SLACK = 2.0     # pixels by which boxes may overlap, since a box is larger than its letters


def faults(figure: Figure, draw: Callable[[], object] | None = None) -> list[str]:
    """Draw the figure, by default with Agg, and describe each text that is hard to read."""
    drawn = _drawn(draw or FigureCanvasAgg(figure).draw)
    return sorted({*_cut_off(figure, drawn), *_on_each_other(drawn), *_under_legends(figure, drawn),
                   *_crossed(figure, drawn), *_small(figure, drawn)})


def watch() -> None:
    """From now on, `savefig` of this process writes the faults of each figure to stderr."""
    savefig = Figure.savefig

    def checked(figure: Figure, file: BinaryIO, *, dpi: float, **options: Any) -> None:
        figure.set_dpi(dpi)                                         # so that all boxes have the same unit
        for fault in faults(figure, lambda: savefig(figure, file, dpi=dpi, **options)):
            print(f"hard to read: {fault}", file=sys.stderr)

    Figure.savefig = checked  # type: ignore[method-assign, assignment]


def _drawn(draw: Callable[[], object]) -> list[tuple[Text, Bbox]]:
    """Each text that the last pass of `draw` draws, and its box in pixels. (A figure also has texts that it does not
    draw: labels of ticks outside the limits of an axis.)
    """
    found: dict[Text, Bbox] = {}
    draw_text, draw_figure = Text.draw, Figure.draw

    def beginning(figure: Figure, renderer: RendererBase) -> None:
        found.clear()                                               # an earlier pass may only lay the texts out
        draw_figure(figure, renderer)

    def recording(text: Text, renderer: RendererBase) -> None:
        draw_text(text, renderer)
        if text.get_visible() and text.get_text().strip():
            found[text] = text.get_window_extent(renderer)

    with mock.patch.object(Text, "draw", recording), mock.patch.object(Figure, "draw", beginning):
        draw()
    return list(found.items())


def _cut_off(figure: Figure, drawn: list[tuple[Text, Bbox]]) -> Iterator[str]:
    whole = figure.bbox
    for text, box in drawn:
        if box.x0 < whole.x0 - 1 or box.y0 < whole.y0 - 1 or box.x1 > whole.x1 + 1 or box.y1 > whole.y1 + 1:
            yield f"{text.get_text()!r} is cut off at the edge"


def _on_each_other(drawn: list[tuple[Text, Bbox]]) -> Iterator[str]:
    for (one, first), (other, second) in combinations(drawn, 2):
        if _overlap(first, second):
            yield f"{one.get_text()!r} lies on {other.get_text()!r}"


def _under_legends(figure: Figure, drawn: list[tuple[Text, Bbox]]) -> Iterator[str]:
    for legend in figure.findobj(Legend):
        own = set(legend.findobj(Text))
        for text, box in drawn:
            if text not in own and _overlap(box, legend.get_window_extent()):
                yield f"{text.get_text()!r} lies under a legend"


def _crossed(figure: Figure, drawn: list[tuple[Text, Bbox]]) -> Iterator[str]:
    """Texts of a chart without a background of their own, crossed by a curve of the chart."""
    for axes in figure.findobj(Axes):
        own = set(axes.texts)
        curves = [line.get_transform().transform_path(line.get_path()) for line in axes.lines
                  if line.get_linestyle() != "None"]
        for text, box in drawn:
            if text in own and text.get_bbox_patch() is None and any(
                    curve.intersects_bbox(box.padded(-0.2 * box.height), filled=False) for curve in curves):
                yield f"a curve goes through {text.get_text()!r}"


def _small(figure: Figure, drawn: list[tuple[Text, Bbox]]) -> Iterator[str]:
    width, height = figure.get_size_inches()
    screen = max(width, height * 16 / 9)
    for text, _ in drawn:
        if text.get_fontsize() / screen < SMALLEST:
            yield f"{text.get_text()!r} is small: {text.get_fontsize():g} points, {screen:.1f} inches"


def _overlap(one: Bbox, other: Bbox) -> bool:
    common = Bbox.intersection(one, other)
    return common is not None and common.width > SLACK and common.height > SLACK
