"""How good a quantised network is, by when it learned of the rounding; and how large it is."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

NAMES = {"after": "rounded after training", "in": "trained with the rounding",
         "longer": "trained longer, then rounded"}


def draw_quantisation_and_training(full: float, accuracy: Mapping[str, Mapping[int, float]],
                                   kib: Mapping[str, float]) -> Figure:
    """full: accuracy in float32; accuracy: way (of NAMES) -> bits -> accuracy. kib: format -> size of the
    network.
    """
    figure = Figure(figsize=(13, 5.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.axhline(100 * full, color="gray", linestyle=":", linewidth=2, label="float32")
    for style, color, (way, name) in zip(("s--", "o-", "^:"), ("#d55e00", "#0072b2", "#555555"),
                                         NAMES.items(), strict=True):
        left.plot(list(accuracy[way]), [100 * value for value in accuracy[way].values()], style, color=color,
                  linewidth=3, markersize=10, label=name)
    left.set(ylim=(0, 100))
    left.set_xticks(list(accuracy["after"]))
    left.invert_xaxis()
    left.set_title("8 bits need no training, 2 bits do", fontsize=18)
    left.set_xlabel("bits per weight", fontsize=15)
    left.set_ylabel("right answers (%)", fontsize=15)
    left.legend(fontsize=14, loc="lower left")
    bars = right.bar(list(kib), list(kib.values()), color=["gray"] + ["#0072b2"] * (len(kib) - 1))
    right.bar_label(bars, fmt="%.1f", fontsize=15)
    right.set_title("8 bits are a third of the size", fontsize=18)
    right.set_ylabel("KiB", fontsize=15)
    for axes in (left, right):
        axes.tick_params(labelsize=14)
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
    return figure
