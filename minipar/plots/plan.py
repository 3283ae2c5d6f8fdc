"""Plots a plan: for each layout, the time of a training step and the memory of the fullest rank."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from minipar.plan.search import PlanOutcome
from minipar.untrusted.files import GIB

# Okabe and Ito's colours, which colour-blind readers can distinguish. A hatch marks lost time.
COLORS = {
    "compute": "#56B4E9",
    "tensor": "#E69F00",
    "pipeline": "#CC79A7",
    "bubble": "#f2f2f2",
    "data": "#009E73",
    "gathers": "#0072B2",
    "optimizer": "#F0E442",
    "offload": "#999999",
}
LINES = {
    "weights": "#0072B2",
    "gradients": "#009E73",
    "optimizer": "#F0E442",
    "activations": "#E69F00",
    "outputs": "#CC79A7",
    "gathered": "#56B4E9",
    "fragments": "#f2f2f2",
}
ROW = 0.42  # inches


def draw_plan(outcomes: Sequence[PlanOutcome], usable: float) -> Figure:
    """Draw one row per layout, with the best on top.

    The left chart shows the seconds of a step, with one colour per term (compute, bubble, ...). The right
    chart shows the GiB of memory, with one colour per use (weights, gradients, ...). A dashed line shows the
    limit, `usable` bytes. Outcomes without times are left out.
    """
    shown = [one for one in outcomes if one.times and one.memory]
    figure = Figure(figsize=(13, 2.0 + ROW * len(shown)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    rows = range(len(shown))
    times = [one.times.terms() for one in shown if one.times]
    memories = [one.memory.lines() for one in shown if one.memory]
    for axes, values, colors, unit in ((left, times, COLORS, 1.0), (right, memories, LINES, GIB)):
        begin = [0.0] * len(shown)
        for name, color in colors.items():
            widths = [each[name] / unit for each in values]
            if any(widths):
                lost = name in ("bubble", "fragments")
                axes.barh(
                    rows,
                    widths,
                    left=begin,
                    color=color,
                    edgecolor="#888888",
                    linewidth=0.5,
                    hatch="////" if lost else "",
                    label=name,
                )
                begin = [a + b for a, b in zip(begin, widths, strict=True)]
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, frameon=False, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    right.axvline(usable / GIB, color="black", linestyle="--", linewidth=1)
    right.text(usable / GIB, len(shown) - 0.45, " limit", fontsize=8, va="bottom")
    left.set_yticks(rows, [one.candidate.text().replace(",", " ") for one in shown], fontsize=8)
    left.invert_yaxis()
    left.set_xlabel("seconds of a step")
    right.set_xlabel("GiB on the fullest rank")
    return figure
