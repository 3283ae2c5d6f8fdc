"""One training in many layouts: one curve, and every gradient as in one process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from minipar.lessons.plots.style import BLUE, GREY, ORANGE

ALLOWED = 1e-12                         # what `minipar verify` allows
EVERY = 24                              # steps from one mark of a layout to its next
MARKS = (("o", BLUE), ("s", ORANGE), ("^", "#000000"), ("D", "#cc79a7"))


def draw_one_training(losses: Mapping[str, Sequence[float]], apart: Mapping[str, float]) -> Figure:
    """losses: layout -> training loss per step in nats per token; the first layout is one process. apart: layout -> the
    largest difference of any gradient from one process, as a part of the gradient's largest element.
    """
    figure = Figure(figsize=(12.5, 5.2), layout="constrained")
    curves, proof = figure.subplots(1, 2, width_ratios=(1.25, 1))
    (first, single), *others = losses.items()
    curves.plot(single, color="#bbbbbb", linewidth=4, label=first)
    rows = np.arange(len(others))[::-1]
    for row, (marker, color), (name, values) in zip(rows, MARKS, others, strict=True):
        # the marks of one layout are between those of the others
        steps = range(row * EVERY // len(others), len(values), EVERY)
        curves.plot(steps, [values[step] for step in steps], marker, color=color, markersize=9, label=name)
        proof.plot(apart[name], row, marker, color=color, markersize=14)
        proof.annotate(f"{apart[name]:.0e}", (apart[name], row), (14, 0), textcoords="offset points", va="center",
                       fontsize=14)
    curves.set_title("the loss: one curve", fontsize=18)
    curves.set_xlabel("step", fontsize=15)
    curves.set_ylabel("loss (nats per token)", fontsize=15)
    curves.legend(fontsize=13)
    proof.axvline(ALLOWED, color=GREY, linewidth=3, linestyle="--")
    proof.annotate("largest difference\nthat a proof allows", (ALLOWED, rows.max() + 0.3), (-10, 0),
                   textcoords="offset points", color=GREY, fontsize=14, ha="right", va="center")
    proof.set(xscale="log", xlim=(5e-17, 5e-12), ylim=(-0.6, rows.max() + 0.6), yticks=[])
    proof.set_xlabel("largest relative difference from one process", fontsize=15)
    proof.set_title("the gradients: equal to rounding", fontsize=18)
    for axes in (curves, proof):
        axes.grid(alpha=0.3)
        axes.tick_params(labelsize=13)
    figure.suptitle("One training on one process and on four layouts: the result is the same", fontsize=21)
    return figure
