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
    for way, name in NAMES.items():
        left.plot(list(accuracy[way]), [100 * value for value in accuracy[way].values()], "o-", linewidth=2.5,
                  label=name)
    left.set(ylim=(0, 100))
    left.set_xticks(list(accuracy["after"]))
    left.invert_xaxis()
    left.set_title("8 bits need no training, 2 bits do", fontsize=15)
    left.set_xlabel("bits per weight", fontsize=13)
    left.set_ylabel("right answers (%)", fontsize=13)
    left.legend(fontsize=12, loc="lower left")
    bars = right.bar(list(kib), list(kib.values()), color=["gray"] + ["C0"] * (len(kib) - 1))
    right.bar_label(bars, fmt="%.1f", fontsize=13)
    right.set_title("Size of the network: weights, scales, biases", fontsize=15)
    right.set_ylabel("KiB", fontsize=13)
    for axes in (left, right):
        axes.tick_params(labelsize=12)
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
    return figure
