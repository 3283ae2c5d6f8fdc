"""The losses of a training whose ranks come and go, and the time of a step by the number of ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from minipar.lessons.plots.style import LINES, ORANGE, one_chart


def draw_losses(one_rank: np.ndarray, elastic: np.ndarray, per_rank: np.ndarray) -> Figure:
    """Each: the loss of every step. per_rank: with a fixed batch per rank."""
    figure, axes = one_chart("The ranks change, the training does not", "step", "loss, nats")
    axes.plot(one_rank, color="#000000", lw=7, alpha=0.3, label="one rank")
    axes.plot(elastic, color=LINES[0], lw=2.5, label="4, 2, 3 ranks, one global batch")
    axes.plot(per_rank, "--", color=ORANGE, lw=2.5, label="4, 2, 3 ranks, a fixed batch per rank")
    axes.legend(fontsize=16, frameon=False)
    return figure


def draw_step_time(ranks: Sequence[int], times: Mapping[str, Sequence[float]]) -> Figure:
    """times: what it is -> the milliseconds of a step on each number of ranks."""
    figure, axes = one_chart("More ranks help until reading is the limit", "ranks", "milliseconds per step")
    for (name, values), color in zip(times.items(), LINES, strict=False):
        axes.plot(ranks, values, "o-", color=color, lw=3, ms=8, label=name)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=16, frameon=False)
    return figure
