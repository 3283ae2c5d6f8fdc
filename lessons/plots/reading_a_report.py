"""A printed report against what its own columns allow, and the many scores of one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from minipar.lessons.plots.style import BLUE, GREY, ORANGE, one_chart


def draw_printed(tags: Sequence[str], printed: np.ndarray, allowed: tuple[np.ndarray, np.ndarray]) -> Figure:
    """printed [C]: F1 as printed, less 2PR/(P+R); allowed: the least and the largest value [C] of it that rounding
    permits.
    """
    inside = (printed >= allowed[0]) & (printed <= allowed[1])
    figure, axes = one_chart(f"{(~inside).sum()} of {len(tags)} printed F1 scores are impossible",
                             "F1 as printed less 2PR / (P + R), in thousandths", "tag")
    rows, low, high = np.arange(len(tags))[::-1], *(1000 * side for side in allowed)
    axes.barh(rows, high - low, left=low, height=0.55, color=BLUE, alpha=0.35, label="allowed by P and R")
    for fits, color, marker, label in ((True, BLUE, "o", "printed: possible"),
                                       (False, ORANGE, "X", "printed: impossible")):
        axes.plot(1000 * printed[inside == fits], rows[inside == fits], marker, markersize=13, color=color,
                  label=label)
    axes.set_yticks(rows, tags)
    axes.set_ylim(-0.6, len(tags) + 1.4)
    axes.legend(fontsize=15, loc="upper left")
    return figure


def draw_scores(scores: Mapping[str, float]) -> Figure:
    """scores: name -> a score; the first is of a program that learnt nothing, the others of one model."""
    of_one = list(scores.values())[1:]
    figure, axes = one_chart(
        f"One tagger has scores from {min(of_one):.2f} to {max(of_one):.2f}", "score", ""
    )
    rows = np.arange(len(scores))[::-1]
    axes.barh(rows, list(scores.values()), color=[GREY] + [BLUE] * len(of_one), height=0.65)
    for row, value in zip(rows, scores.values(), strict=True):
        axes.text(value + 0.01, row, f"{value:.3f}", va="center", fontsize=16)
    axes.set_yticks(rows, list(scores))
    axes.set_xlim(0, 1.13)
    return figure
