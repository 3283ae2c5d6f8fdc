"""Nonlinear quantisation: which gain a sigmoid needs, and where the codes lie."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter
from minipar.lessons.plots.style import BLUE, GREY, ORANGE, one_chart


def draw_gains(gains: np.ndarray, errors: Mapping[str, np.ndarray]) -> Figure:
    """gains: in units of 1/std [n]; errors: by range of the sigmoid, squared error relative to linear codes [n]."""
    best = min(gains[values.argmin()] for values in errors.values())
    figure, axes = one_chart(f"A sigmoid is best with a gain of {best:g}/std", "gain, in units of 1/std",
                             "squared error / that of linear codes")
    for (name, values), marker, color in zip(errors.items(), "os", (BLUE, ORANGE), strict=True):
        axes.plot(
            gains, values, f"{marker}-", color=color, markersize=10, linewidth=3, label=f"sigmoid {name}"
        )
    axes.axhline(1, color=GREY, linestyle=":", linewidth=3, label="linear codes")
    axes.set(yscale="log")
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.legend(fontsize=15)
    return figure


def draw_codes(weights: np.ndarray, densities: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """weights: any numbers; densities: by kind of codes, weights and the share of codes per unit of weight there."""
    figure, axes = one_chart(
        "A sigmoid puts its codes where the weights are", "weight", "share per unit of weight"
    )
    axes.hist(weights, bins=80, density=True, color="#cccccc", label="weights")
    styles = (("--", 3, "#000000"), ("-", 4, ORANGE), ("-", 1.2, BLUE))
    for (name, (at, density)), (style, width, color) in zip(densities.items(), styles, strict=True):
        axes.plot(at, density, style, linewidth=width, color=color, label=f"codes: {name}")
    axes.set_ylim(0, 1.3 * axes.get_ylim()[1])                      # room for the legend
    axes.locator_params(axis="x", nbins=6)
    axes.legend(fontsize=15)
    return figure
