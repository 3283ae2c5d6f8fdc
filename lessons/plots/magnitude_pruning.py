"""How good a pruned network is, by the way in which it was pruned; and how many bytes its zeros save."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure


def draw_magnitude_pruning(dense: float, accuracy: Mapping[str, Mapping[float, float]], percent: np.ndarray,
                           stored: Mapping[str, np.ndarray]) -> Figure:
    """dense: accuracy before; accuracy: method -> sparsity -> accuracy. stored: format -> MiB at `percent` %
    zeros [n].
    """
    figure = Figure(figsize=(12, 5.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.axhline(100 * dense, color="gray", linestyle=":", linewidth=2, label="dense")
    for name, by_ratio in accuracy.items():
        left.plot([0, *(100 * ratio for ratio in by_ratio)],
                  [100 * dense, *(100 * a for a in by_ratio.values())], "o-", linewidth=2.5, label=name)
    left.set(ylim=(0, 100))
    left.set_ylabel("right answers (%)", fontsize=13)
    left.set_title("A small network, pruned in four ways", fontsize=15)
    for (name, mib), style in zip(stored.items(), ("k:", "C3-", "C0-"), strict=True):
        right.plot(percent, mib, style, linewidth=2.5, label=name)
    right.set(ylim=(0, 8.2))
    right.set_ylabel("MiB", fontsize=13)
    right.set_title("A matrix of 1024 x 1024 float32", fontsize=15)
    for axes in (left, right):
        axes.set_xlabel("weights that are zero (%)", fontsize=13)
        axes.tick_params(labelsize=12)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=12)
    return figure
