"""Where gradients lie beside the range of float16, and what becomes of a training in each scheme."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from minipar.precision import Format

STYLES = {
    "color": ["#999999", "#56b4e9", "#009e73", "#d55e00", "#0072b2"],
    "linestyle": ["-", "--", ":", "-.", "-"],
}
AVERAGED = 20                                                       # steps, so that curves are smooth


def draw_mixed_precision(gradients: np.ndarray, scale: float, format: Format,
                         losses: Mapping[str, Sequence[float]]) -> Figure:
    """gradients [n]: absolute values, none zero; scale: the loss scale; losses: by scheme, in nats per token,
    one per step.
    """
    figure = Figure(figsize=(13, 5.4), layout="constrained")
    window, curves = figure.subplots(1, 2)
    smallest, normal, largest = (float(np.log2(edge))
                                 for edge in (format.smallest, format.smallest_normal, format.largest))
    window.axvspan(normal, largest, color="#56b4e9", alpha=0.35, label=f"{format.name}, all digits")
    window.axvspan(smallest, normal, color="#999999", alpha=0.3,
                   label=f"{format.name}, fewer and fewer digits")
    bins = np.arange(-75, 20).tolist()
    exponents, shift = np.log2(gradients), float(np.log2(scale))
    window.hist(exponents, bins, color="#d55e00", alpha=0.9, label="gradients as they are")
    window.hist(exponents + shift, bins, color="#0072b2", alpha=0.9,
                label=f"times a loss scale of 2^{shift:.0f}")
    window.set_xlabel("log2 of the gradient's absolute value", fontsize=15)
    window.set_ylabel("number of gradients", fontsize=15)
    window.set_title("A loss scale moves gradients into the window", fontsize=17)
    window.set_xlim(-58, 20)
    window.set_ylim(top=1.45 * window.get_ylim()[1])
    window.legend(fontsize=13, loc="upper left")

    # the first is wide, so that what covers it is seen
    for number, (name, values) in enumerate(losses.items()):
        smooth = np.convolve(values, np.ones(AVERAGED) / AVERAGED, mode="valid")
        curves.plot(np.arange(len(smooth)) + AVERAGED, smooth, label=name,
                    color=STYLES["color"][number], linestyle=STYLES["linestyle"][number],
                    linewidth=8 if number == 0 else 2.6)
    curves.set_xlabel(f"step (mean of the last {AVERAGED})", fontsize=15)
    curves.set_ylabel("loss (nats per token)", fontsize=15)
    curves.set_title("With it, float16 learns as float32 does", fontsize=17)
    curves.legend(fontsize=13)
    for axes in (window, curves):
        axes.grid(alpha=0.3)
        axes.tick_params(labelsize=14)
    return figure
