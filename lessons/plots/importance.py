"""What scores predict that removing a weight costs, against what it does cost; and how LASSO lets weights go
one by one.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from minipar.lessons.plots.style import BLUE, GREY, LINES, ORANGE, one_chart

LOWEST = 1e-7                           # nats; what is less is drawn there


def draw_predicted(actual: np.ndarray, predicted: Mapping[str, np.ndarray]) -> Figure:
    """actual: by how much the loss rises without a weight [n]; predicted: score -> the same as predicted [n]."""
    figure, axes = one_chart("Curvature predicts what a weight is worth, the slope does not",
                             "loss rises by, measured (nats)", "score predicts (nats)")
    axes.title.set_fontsize(19)
    for (name, scores), marker, color in zip(predicted.items(), "xs^", (GREY, ORANGE, BLUE), strict=True):
        axes.plot(np.maximum(actual, LOWEST), np.maximum(scores, LOWEST), marker, markersize=9, alpha=0.8,
                  color=color, label=name)
    ends = np.array([LOWEST, 2 * actual.max()])
    axes.plot(ends, ends, color=GREY, linestyle=":", linewidth=2.5, label="predicted = measured")
    axes.set(xscale="log", yscale="log")
    axes.legend(fontsize=15)
    return figure


def draw_lasso(strengths: np.ndarray, path: np.ndarray, truth: np.ndarray) -> Figure:
    """path: weights [strengths, weights] at each strength of the penalty; truth: the weights [weights] that made the
    data.
    """
    figure, axes = one_chart(
        "LASSO finds the three weights that matter", "strength λ of the penalty", "weight"
    )
    colors = iter(zip(LINES, ("-", "--", "-."), strict=False))
    for weight, true in zip(path.T, truth, strict=True):
        color, style = next(colors) if true else ("#bbbbbb", "-")
        axes.plot(strengths, weight, color=color, linestyle=style, linewidth=3.5 if true else 1.5)
        if true:
            axes.text(strengths[0], true, f" truth: {true:g}", color=color, fontsize=16, va="bottom")
    axes.text(strengths[0], 0, f" {(truth == 0).sum()} weights that are truly 0", fontsize=16, va="bottom")
    axes.set(xscale="log")
    axes.margins(y=0.12)
    return figure
