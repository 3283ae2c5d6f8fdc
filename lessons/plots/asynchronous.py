"""How old a gradient may be, and how far local steps lead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from minipar.lessons.plots.style import BLUE, ORANGE, one_chart


def draw_limits(delays: Sequence[int], limits: Sequence[float], simulated: Sequence[float]) -> Figure:
    """The largest stable rate for each delay in steps: the formula as a line, the simulation as points."""
    figure, axes = one_chart("Old gradients need small steps", "age of the gradient, in steps",
                             "largest stable rate")
    axes.plot(delays, limits, color=BLUE, lw=3, label="formula")
    axes.plot(delays, simulated, "o", color=ORANGE, ms=11, label="simulated")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=16, frameon=False)
    return figure


def draw_drift(drift: Mapping[int, float]) -> Figure:
    """drift: steps between two averages -> distance from data parallelism at the end."""
    figure, axes = one_chart("Ranks that seldom average drift away", "local steps between two averages",
                             "distance from data parallelism")
    axes.plot(list(drift), list(drift.values()), "o-", color=BLUE, lw=3, ms=10)
    axes.set_ylim(bottom=0)
    return figure
