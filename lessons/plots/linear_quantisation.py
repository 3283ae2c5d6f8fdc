"""Linear quantisation: the staircase of rounding with its error, and what each bit is worth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure


def draw_linear_quantisation(x: np.ndarray, stairs: Mapping[str, np.ndarray],
                             decibels: Mapping[int, float]) -> Figure:
    """x: numbers [n], ascending; stairs: by scheme, what each comes back as [n]. decibels: bits ->
    signal-to-noise ratio.
    """
    figure = Figure(figsize=(13, 6), layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=(2, 1))
    upper, lower, right = (figure.add_subplot(part) for part in (grid[0, 0], grid[1, 0], grid[:, 1]))
    upper.plot(x, x, color="gray", linestyle=":", linewidth=2, label="the number itself")
    for color, style, (name, back) in zip(("#0072b2", "#d55e00"), ("-", "--"), stairs.items(), strict=True):
        upper.plot(x, back, style, color=color, linewidth=3, label=name)
        lower.plot(x, back - x, style, color=color, linewidth=2.5)
    upper.set_title("3 bits: rounded inside, clipped outside", fontsize=18)
    upper.set_ylabel("comes back as", fontsize=15)
    upper.set_xticklabels([])
    lower.set_xlabel("number", fontsize=15)
    lower.set_ylabel("error", fontsize=15)
    lower.set_yticks((-0.3, 0, 0.3))
    bits = np.array(list(decibels))
    values = np.array(list(decibels.values()))
    right.plot(
        bits, values, "o", color="#0072b2", markersize=9, label="measured, normal numbers, whole range"
    )
    right.plot(bits, values[-1] + 6.02 * (bits - bits[-1]), color="gray", linestyle=":", linewidth=2,
               label="6.02 dB per bit")
    right.set_title("Each bit is worth 6 dB", fontsize=18)
    right.set_xlabel("bits", fontsize=15)
    right.set_ylabel("signal over error (dB)", fontsize=15)
    right.set_xticks(bits[::2])
    for axes in (upper, lower, right):
        axes.grid(alpha=0.3)
        axes.tick_params(labelsize=14)
    upper.legend(fontsize=14)
    right.legend(fontsize=14)
    return figure
