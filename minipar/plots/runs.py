"""Plots the loss curves of several runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import NamedTuple

from matplotlib.figure import Figure

from minipar.errors import ConfigError, brief
from minipar.plots.loss import running_mean

# Okabe and Ito's colours, which colour-blind readers can distinguish. After seven runs, the line style
# changes.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
STYLES = ("-", "--", ":")
MOST_RUNS = len(COLORS) * len(STYLES)
LARGEST = 1e100
LONGEST_LABEL = 60                                                  # characters


class LossCurve(NamedTuple):
    """Holds a run's losses in nats per token. `losses` are the training losses at `steps`. `validations` maps
    a step to its validation loss.
    """

    label: str
    steps: Sequence[int]
    losses: Sequence[float]
    validations: Mapping[int, float]


def draw_runs(curves: Sequence[LossCurve]) -> Figure:
    """Draw the centred running mean of each run's training loss. The single losses are behind it in a light
    colour, and circles show the validation losses.

    Raises ConfigError for no run or for more than MOST_RUNS, and for a loss above LARGEST, which matplotlib
    cannot draw.
    """
    if not 1 <= len(curves) <= MOST_RUNS:
        raise ConfigError(f"{len(curves)} runs in one picture; choose 1 to {MOST_RUNS}")
    for curve in curves:
        worst = max((abs(loss) for loss in (*curve.losses, *curve.validations.values())), default=0.0)
        if worst > LARGEST:
            raise ConfigError(f"{curve.label} has a loss of {worst:g}, too large for a picture; leave it out")
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for curve, (style, color) in zip(curves, product(STYLES, COLORS), strict=False):
        axes.plot(curve.steps, curve.losses, color=color, alpha=0.2, linewidth=0.7, rasterized=True)
        axes.plot(curve.steps, running_mean(curve.losses), style, color=color, linewidth=1.6,
                  label=_label(curve.label))
        axes.plot([step + 1 for step in curve.validations], list(curve.validations.values()), "o",
                  color=color, markerfacecolor="white", markersize=5)
    axes.set(xlabel="step", ylabel="loss (nats per token)",
             title="line: running mean of the training loss; circle: validation loss")
    axes.title.set_fontsize(10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure


def _label(name: str) -> str:
    """Return the end of the name in printable characters. matplotlib hides a label that begins with "_", and
    reads "$" as the start of a formula.
    """
    text = brief(name)
    text = text if len(text) <= LONGEST_LABEL else f"...{text[3 - LONGEST_LABEL:]}"
    return (" " if text.startswith("_") else "") + text.replace("$", r"\$")
