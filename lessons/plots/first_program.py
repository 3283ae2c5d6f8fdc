"""What one message costs: latency for small ones, bandwidth for large ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

BLUE, ORANGE = "#0072b2", "#d55e00"     # told apart by colour-blind readers, too


def draw_messages(alpha: float, beta: float, sizes: Sequence[int], times: Sequence[float]) -> Figure:
    """alpha: seconds; beta: seconds per byte. times: seconds that messages of these sizes (bytes) took."""
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.subplots()
    n = np.geomspace(min(sizes), max(sizes), 200)
    axes.plot(n, 1e6 * (alpha + n * beta), color=BLUE, linewidth=3, label="alpha + n beta")
    axes.plot(n, np.full_like(n, 1e6 * alpha), color=ORANGE, linestyle="--", linewidth=2, label="alpha alone")
    axes.plot(sizes, 1e6 * np.array(times), "o", color=BLUE, markersize=11, label="executed, virtual clock")
    axes.axvline(alpha / beta, color="gray", linestyle=":", linewidth=2)
    axes.annotate("alpha / beta", (alpha / beta, 1.3e6 * alpha), (8, 210), textcoords="offset points", fontsize=15,
                  color="dimgray")
    axes.set(xscale="log", yscale="log")
    axes.set_title("Small messages cost latency, large ones bandwidth", fontsize=18)
    axes.set_xlabel("bytes in the message", fontsize=15)
    axes.set_ylabel("microseconds", fontsize=15)
    axes.tick_params(labelsize=13)
    axes.legend(fontsize=14)
    return figure
