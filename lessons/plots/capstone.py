"""Which technique changes which line of the ledger, and the models that no other one beats in size and loss at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from minipar.lessons.plots.style import BLUE, GREY, ORANGE, one_chart


def draw_map(factors: Mapping[str, Mapping[str, float]], lines: Sequence[str]) -> Figure:
    """factors: technique -> line of the ledger -> what it is multiplied by; no entry where nothing changes."""
    table = np.array([[row.get(line, np.nan) for line in lines] for row in factors.values()])
    figure, axes = one_chart("Each technique changes lines of the ledger", "", "")
    axes.grid(visible=False)
    axes.imshow(table.clip(1 / 16, 16), cmap="PuOr_r", norm=LogNorm(1 / 16, 16), aspect="auto")
    axes.set_xticks(range(len(lines)), lines, fontsize=14)
    axes.set_yticks(range(len(factors)), list(factors), fontsize=14)
    for (row, column), factor in np.ndenumerate(table):
        if np.isfinite(factor):
            shade = "white" if abs(np.log2(factor)) > 2.5 else "black"
            axes.text(column, row, f"x {factor:.2g}", ha="center", va="center", fontsize=14, color=shade)
    return figure


def draw_front(points: Sequence[tuple[str, float, float]], front: Sequence[str]) -> Figure:
    """points: (name, bytes, loss) of each model; front: the names of those that no other one dominates."""
    figure, axes = one_chart("The front: a smaller model has a larger loss", "KiB of the linear weights",
                             "validation loss, nats")
    axes.plot([size / 1024 for _, size, _ in points], [loss for *_, loss in points], "o", color=GREY, ms=9,
              label="another model is smaller and better")
    chosen = sorted((size / 1024, loss, name) for name, size, loss in points if name in front)
    axes.plot([size for size, *_ in chosen], [loss for _, loss, _ in chosen], "o-", color=ORANGE, ms=11, lw=3,
              label="the front: no other model is smaller and better")
    free = 0.0                          # names that would lie on the one before are left out
    for size, loss, name in chosen:
        if size >= free:
            axes.annotate(name, (size, loss), (8, 8), textcoords="offset points", fontsize=14, color=BLUE)
            free = size + 0.17 * chosen[-1][0]
    axes.set_xlim(right=1.25 * chosen[-1][0])
    axes.legend(fontsize=16)
    return figure
