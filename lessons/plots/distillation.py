"""What the factor T^2 is for, when a teacher helps, and what each stage of a compression pipeline brings."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from minipar.plots.ticks import plain_ticks

# one per stage
LABELS = ((0, -18, "center"), (0, 16, "center"), (12, 14, "left"), (0, -18, "center"), (0, 26, "center"))


def draw_distillation(gradients: Mapping[float, float], students: Mapping[str, tuple[float, ...]],
                      ledger: Mapping[str, tuple[int, float]]) -> Figure:
    """gradients: temperature -> size with T^2. students: what they have -> accuracy with labels alone, with
    the teacher. ledger: stage -> bytes, validation loss in nats per token.
    """
    figure = Figure(figsize=(15, 5), layout="constrained")
    factor, accuracy, sizes = figure.subplots(1, 3)
    T, size = np.array(list(gradients)), np.array(list(gradients.values()))
    factor.plot(T, size, "o-", color="#0072b2", linewidth=3.5, markersize=10, label="with T²")
    factor.plot(T, size / T**2, "s--", color="#d55e00", linewidth=3.5, markersize=10, label="without")
    factor.set(xscale="log", yscale="log")
    factor.set_title("T² keeps the gradient", fontsize=18)
    factor.set_xlabel("temperature T", fontsize=15)
    factor.set_ylabel("size of the gradient", fontsize=15)
    plain_ticks(factor.xaxis, gradients)

    positions = np.arange(len(students))
    for number, label in enumerate(("labels alone", "with the teacher")):
        bars = accuracy.bar(positions + 0.4 * number - 0.2, [pair[number] for pair in students.values()], 0.38,
                            label=label, color=("#d55e00", "#0072b2")[number])
        accuracy.bar_label(bars, fmt="%.2f", fontsize=13)
    accuracy.set_xticks(positions, [name.replace(", ", ",\n") for name in students], fontsize=14)
    accuracy.set_title("It helps where labels are bad", fontsize=18)
    accuracy.set_ylabel("right answers on unseen points", fontsize=15)
    accuracy.set(ylim=(0, 1.3), yticks=np.arange(0, 1.1, 0.2))      # with space for the legend

    kib = [stage_bytes / 1024 for stage_bytes, _ in ledger.values()]
    losses = [loss for _, loss in ledger.values()]
    sizes.plot(kib, losses, "o-", color="#0072b2", linewidth=2.5, markersize=9)
    for name, x, y, (dx, dy, side) in zip(ledger, kib, losses, LABELS, strict=True):
        sizes.annotate(name.replace(", ", ",\n"), (x, y), textcoords="offset points", xytext=(dx, dy), ha=side, va="center",
                       fontsize=14, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})
    low, high = min(losses), max(losses)
    sizes.set(xscale="log", xlim=(0.5 * min(kib), 1.5 * max(kib)),
              ylim=(1.3 * low - 0.3 * high, 1.2 * high - 0.2 * low))
    sizes.xaxis.set_major_locator(LogLocator(base=2))
    sizes.xaxis.set_major_formatter(lambda x, _: f"{x:.0f}")
    sizes.xaxis.set_minor_locator(NullLocator())
    sizes.set_title("A sixth of the file", fontsize=18)
    sizes.set_xlabel("file (KiB)", fontsize=15)
    sizes.set_ylabel("validation loss (nats per token)", fontsize=15)
    for axes in figure.axes:
        axes.tick_params(labelsize=14)
        axes.grid(alpha=0.3)
    factor.legend(fontsize=14)
    accuracy.legend(fontsize=14, loc="upper center")
    return figure
