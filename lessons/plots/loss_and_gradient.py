"""The loss of a certain model and its gradient: as the formula is written, and from the logit."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

LossAndGradient = tuple[np.ndarray, np.ndarray]                     # loss and gradient [n]


def draw_loss_and_gradient(z: np.ndarray, written_0: LossAndGradient, stable_0: LossAndGradient, written_1: LossAndGradient,
                           stable_1: LossAndGradient) -> Figure:
    """Loss and gradient at logits z [n] for the labels 0 and 1: as written, with gaps where it is not finite,
    and stable.
    """
    figure = Figure(figsize=(11, 5), layout="constrained")
    for part, axes in enumerate(figure.subplots(1, 2)):
        for label, color, written, stable in ((0, "#0072b2", written_0, stable_0),
                                              (1, "#d55e00", written_1, stable_1)):
            axes.plot(z, stable[part], color=color, alpha=0.35, linewidth=7,
                      label=f"y = {label}, from the logit")
            axes.plot(z, np.where(np.isfinite(written[part]), written[part], np.nan), color=color,
                      linewidth=2, label=f"y = {label}, from p")
        lost = z[~(np.isfinite(written_0[part]) & np.isfinite(written_1[part]))]
        if lost.size:
            axes.axvspan(lost.min(), z.max(), color="black", alpha=0.1)
            axes.text((lost.min() + z.max()) / 2, 0.3, "inf\nor NaN", transform=axes.get_xaxis_transform(),
                      ha="center", va="center", color="black", fontsize=17)
        axes.set_xlabel("logit z", fontsize=15)
        axes.grid(alpha=0.3)
        axes.tick_params(labelsize=14)
    left, right = figure.axes
    left.set_title("From p, the loss ends at z = 37", fontsize=17)
    left.set_ylabel("loss (nats)", fontsize=15)
    left.legend(fontsize=13)
    right.set_title("So does its gradient", fontsize=17)
    right.set_ylabel("d loss / d z (nats per unit of z)", fontsize=15)
    return figure
