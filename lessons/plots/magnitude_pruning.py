"""How good a pruned network is, by the way in which it was pruned; and how many bytes its zeros save."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

COLORS = {"dense": "black", "CSR": "#d55e00", "bitmap": "#0072b2"}


def draw_magnitude_pruning(dense: float, accuracy: Mapping[str, Mapping[float, float]], percent: np.ndarray,
                           stored: Mapping[str, np.ndarray]) -> Figure:
    """dense: accuracy before; accuracy: method -> sparsity -> accuracy. stored: format -> MiB at `percent` %
    zeros [n].
    """
    figure = Figure(figsize=(12, 5.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.axhline(100 * dense, color="gray", linestyle=":", linewidth=2, label="dense")
    for style, color, (name, by_ratio) in zip(("^:", "s--", "D-.", "o-"),
                                              ("#555555", "#d55e00", "#56b4e9", "#0072b2"), accuracy.items(),
                                              strict=True):
        left.plot([0, *(100 * ratio for ratio in by_ratio)],
                  [100 * dense, *(100 * a for a in by_ratio.values())], style, color=color,
                  linewidth=3, markersize=9, label=name)
    left.set(ylim=(0, 100))
    left.set_ylabel("right answers (%)", fontsize=15)
    left.set_title("Fine-tuning brings most of it back", fontsize=18)
    for (name, mib), style in zip(stored.items(), (":", "--", "-"), strict=True):
        right.plot(percent, mib, style, color=COLORS[name], linewidth=3.5, label=name)
    right.set(ylim=(0, 8.2))
    right.set_ylabel("MiB", fontsize=15)
    right.set_title("Few zeros save nothing as CSR", fontsize=18)
    for axes in (left, right):
        axes.set_xlabel("weights that are zero (%)", fontsize=15)
        axes.tick_params(labelsize=14)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=14)
    return figure
