"""What limits a product, who waits in a batch, what a larger batch gives, and how long users wait for a token."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from minipar.lessons.plots.style import BLUE, GREY, LINES, ORANGE, one_chart


def draw_rooflines(peak: float, bandwidth: float, batches: Sequence[int], intensities: Sequence[float],
                   speeds: Sequence[float]) -> Figure:
    """peak: FLOP/s; bandwidth: bytes/s. Each batch has a product with so many FLOPs per byte, and its speed is the
    measured FLOP/s.
    """
    figure, axes = one_chart("A larger batch uses more of the machine", "FLOP per byte", "GFLOP/s")
    x = np.geomspace(0.2, 100, 200)
    axes.loglog(x, np.minimum(peak, bandwidth * x) / 1e9, color=BLUE, lw=3, label="the two limits")
    axes.loglog(intensities, np.array(speeds) / 1e9, "o", color=ORANGE, ms=12, label="measured")
    for batch, x_of_batch, speed in zip(batches, intensities, speeds, strict=True):
        axes.annotate(f"batch {batch}", (x_of_batch, speed / 1e9), (10, -8), textcoords="offset points", fontsize=16,
                      va="top")
    axes.legend(fontsize=16, frameon=False)
    return figure


def draw_waiting(counts: Sequence[int], batch: int) -> Figure:
    """counts: tokens that each request wants; batch: how many run at once. Static batches above, continuous
    batching below: a bar is a request.
    """
    figure, axes = one_chart("A free row takes the next request at once", "step", "")
    for first in range(0, len(counts), batch):
        start = sum(max(counts[i : i + batch]) for i in range(0, first, batch))
        for row, count in enumerate(counts[first : first + batch]):
            axes.barh(2 * batch - row, count, left=start, color=GREY, edgecolor="white")
    rows = [(0, row) for row in range(batch)]                       # (when it is free, row)
    for count in counts:
        start, row = heapq.heappop(rows)
        axes.barh(batch - 1 - row, count, left=start, color=BLUE, edgecolor="white")
        heapq.heappush(rows, (start + count, row))
    axes.set_yticks([batch * 1.5 + 0.5, batch / 2 - 0.5], ["static", "continuous"])
    return figure


def draw_batches(sizes: Sequence[int], seconds: Sequence[float], rates: Sequence[float]) -> Figure:
    """seconds: of a decode step of so many requests; rates: tokens per second of all of them."""
    figure, axes = one_chart("More tokens in all, a longer wait for each", "ms per step (latency)",
                             "tokens per second (throughput)")
    axes.plot(1e3 * np.array(seconds), rates, "o-", color=BLUE, lw=3, ms=10)
    for size, second, rate in zip(sizes, seconds, rates, strict=True):
        axes.annotate(f"{size}", (1e3 * second, rate), (8, -8), textcoords="offset points", fontsize=16, va="top")
    axes.set_ylim(bottom=0)
    axes.set_xlim(0, 1.1e3 * max(seconds))
    return figure


def draw_arrivals(rates: Sequence[float], waits: Mapping[str, Sequence[float]]) -> Figure:
    """rates: requests per second; waits: name of a policy -> seconds to the first token at each rate."""
    figure, axes = one_chart("Users wait little, up to the capacity of the server", "requests per second",
                             "seconds to the first token")
    for (name, seconds), color, marker in zip(waits.items(), LINES, "os", strict=False):
        axes.loglog(rates, seconds, marker=marker, color=color, lw=3, ms=10, label=name)
    axes.set_xticks(rates, [f"{rate:g}" for rate in rates])
    axes.minorticks_off()
    axes.legend(fontsize=16, frameon=False)
    return figure
