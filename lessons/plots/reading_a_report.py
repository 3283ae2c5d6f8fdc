"""A printed report against what its own columns allow, and the many scores of one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure


def draw_reading_a_report(tags: Sequence[str], printed: np.ndarray, allowed: tuple[np.ndarray, np.ndarray],
                          scores: Mapping[str, float]) -> Figure:
    """printed [C]: F1 as printed, less 2PR/(P+R); allowed: the least and the largest value [C] of it that
    rounding permits. scores: name -> the score of one model.
    """
    figure = Figure(figsize=(12.5, 5.2), layout="constrained")
    table, bars = figure.subplots(1, 2)
    rows, low, high = np.arange(len(tags))[::-1], *(1000 * side for side in allowed)
    table.barh(rows, high - low, left=low, height=0.55, color="tab:green", alpha=0.45,
               label="what P and R as printed allow")
    inside = (printed >= allowed[0]) & (printed <= allowed[1])
    for fits, color, label in ((True, "tab:green", "F1 as printed: possible"),
                               (False, "tab:red", "F1 as printed: impossible")):
        table.plot(1000 * printed[inside == fits], rows[inside == fits], "D", markersize=10, color=color,
                   label=label)
    table.set_yticks(rows, tags)
    table.set_xlabel("F1 less 2PR / (P + R), in thousandths", fontsize=13)
    table.set_title("Six of seven F1 scores cannot be", fontsize=15)
    table.set_ylim(-0.6, len(tags) + 0.9)
    table.legend(fontsize=11, loc="upper left")
    table.grid(axis="x", alpha=0.3)

    places = np.arange(len(scores))
    colors = ["tab:gray"] + ["tab:blue"] * (len(scores) - 1)
    bars.barh(places[::-1], list(scores.values()), color=colors, height=0.65)
    for place, value in zip(places[::-1], scores.values(), strict=True):
        bars.text(value + 0.01, place, f"{value:.3f}", va="center", fontsize=13)
    bars.set_yticks(places[::-1], list(scores))
    bars.set_xlim(0, 1.13)
    bars.set_xlabel("score", fontsize=13)
    bars.set_title("One tagger, many scores", fontsize=15)
    bars.grid(axis="x", alpha=0.3)
    for axes in (table, bars):
        axes.tick_params(labelsize=12)
    return figure
