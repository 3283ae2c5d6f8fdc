"""What accumulation saves, and what a sum in place of a mean does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from minipar.lessons.plots.style import BLUE, ORANGE, one_chart

from minipar.plots.ticks import plain_ticks

FARTHEST = 1e6  # where a run that diverges leaves the picture


def draw_pieces(activations: Mapping[int, int], formula: Mapping[int, int], gradient: int) -> Figure:
    """activations: pieces -> bytes counted; formula: the same, computed; gradient: bytes of its buffer."""
    figure, axes = one_chart(
        "Activations shrink, the gradient does not", "pieces k of the batch", "kB in memory"
    )
    axes.plot(list(formula), [value / 1e3 for value in formula.values()], color=BLUE, linewidth=4,
              label="activations, formula")
    axes.plot(list(activations), [value / 1e3 for value in activations.values()], "o", color=BLUE, markersize=13,
              label="activations, counted")
    axes.axhline(gradient / 1e3, color=ORANGE, linestyle="--", linewidth=4, label="gradient buffer")
    axes.set(xscale="log", yscale="log")
    plain_ticks(axes.xaxis, activations)
    plain_ticks(axes.yaxis)
    axes.legend(fontsize=16)
    return figure


def draw_descent(distances: Mapping[str, Sequence[float]]) -> Figure:
    """distances: from the minimum, by step; of the run that arrives, then of the one that diverges."""
    figure, axes = one_chart("A sum in place of the mean: SGD diverges", "step", "distance from the minimum")
    for (name, values), color, style in zip(distances.items(), (BLUE, ORANGE), ("-", "--"), strict=True):
        inside = [value for value in values if value < FARTHEST]
        axes.plot(range(1, len(inside) + 1), inside, style, color=color, linewidth=4, label=name)
        if len(inside) < len(values):
            axes.annotate(f"{values[-1]:.0e} after {len(values)} steps", (len(inside), inside[-1]), (14, -20),
                          textcoords="offset points", color=color, fontsize=17)
    axes.set(yscale="log", ylim=(1e-3, FARTHEST))
    axes.legend(fontsize=16)
    return figure
