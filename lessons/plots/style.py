"""How pictures of lessons look: one chart with one message, colours that colour-blind readers tell apart (Okabe and
Ito), and text that is readable from the last row.
"""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#595959"
LINES = (BLUE, ORANGE, "#56b4e9", "#000000", "#cc79a7")              # of several lines in one chart


def one_chart(message: str, x: str, y: str) -> tuple[Figure, Axes]:
    """A figure with one chart. message: its title, one sentence; x, y: what its axes show."""
    figure = Figure(figsize=(10, 6), layout="constrained")
    axes = figure.subplots()
    axes.set_title(message, fontsize=22)
    axes.set_xlabel(x, fontsize=18)
    axes.set_ylabel(y, fontsize=18)
    axes.tick_params(labelsize=16)
    axes.grid(alpha=0.3)
    return figure, axes
