"""What scores predict that removing a weight costs, against what it does cost; and how LASSO lets weights go
one by one.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure


def draw_importance(actual: np.ndarray, predicted: Mapping[str, np.ndarray], strengths: np.ndarray,
                    path: np.ndarray, truth: np.ndarray) -> Figure:
    """actual: by how much the loss rises without a weight [n]; predicted: score -> the same as predicted [n].

    path: weights [strengths, weights] at each strength of the penalty; truth: the weights [weights] that made
    the data.
    """
    figure = Figure(figsize=(12, 5.4), layout="constrained")
    scatter, lasso = figure.subplots(1, 2)
    lowest = 1e-7
    for (name, scores), marker in zip(predicted.items(), "xs^", strict=True):
        scatter.plot(np.maximum(actual, lowest), np.maximum(scores, lowest), marker, markersize=7, alpha=0.8,
                     label=name)
    ends = np.array([lowest, 2 * actual.max()])
    scatter.plot(ends, ends, color="gray", linestyle=":", linewidth=2, label="predicted = measured")
    scatter.set(xscale="log", yscale="log")
    scatter.set_xlabel("loss really rises by (nats)", fontsize=13)
    scatter.set_ylabel("score predicts (nats; 1e-7 stands for less)", fontsize=13)
    scatter.set_title("One weight removed, at the minimum", fontsize=15)
    scatter.legend(fontsize=12)

    for weight, true in zip(path.T, truth, strict=True):
        color = None if true else "lightgray"
        (line,) = lasso.plot(strengths, weight, color=color, linewidth=3 if true else 1.5)
        if true:
            lasso.axhline(true, color=line.get_color(), linestyle=":", linewidth=1.5)
            lasso.text(strengths[0], true, f" truth {true:g}", color=line.get_color(), fontsize=12,
                       va="bottom")
    lasso.set(xscale="log")
    lasso.set_xlabel("strength λ of the penalty λ |w|₁", fontsize=13)
    lasso.set_ylabel("weight", fontsize=13)
    lasso.set_title("LASSO: 17 of 20 weights are truly 0 (gray)", fontsize=15)
    for axes in (scatter, lasso):
        axes.tick_params(labelsize=12)
        axes.grid(alpha=0.3)
    return figure
