"""Nonlinear quantisation: which gain a sigmoid needs, and where the codes lie."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter


def draw_nonlinear_quantisation(gains: np.ndarray, errors: Mapping[str, np.ndarray], weights: np.ndarray,
                                densities: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """gains: in units of 1/std [n]; errors: by range of the sigmoid, squared error relative to linear codes
    [n]. weights: any numbers; densities: by kind of codes, places and the share of codes per unit of weight
    there.
    """
    figure = Figure(figsize=(13, 5.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, values in errors.items():
        left.plot(gains, values, "o-", linewidth=2.5, label=f"sigmoid {name}")
    left.axhline(1, color="gray", linestyle=":", linewidth=2, label="linear codes")
    left.set(yscale="log")
    left.yaxis.set_major_formatter(ScalarFormatter())
    left.set_title("A sigmoid needs the right gain", fontsize=15)
    left.set_xlabel("gain, in units of 1/std", fontsize=13)
    left.set_ylabel("squared error over that of linear codes", fontsize=13)
    right.hist(weights, bins=80, density=True, color="lightgray", label="weights")
    for name, (places, density) in densities.items():
        right.plot(places, density, linewidth=2.5, label=f"codes: {name}")
    right.set_title("Where 256 codes lie", fontsize=15)
    right.set_xlabel("weight", fontsize=13)
    right.set_ylabel("share per unit of weight", fontsize=13)
    right.set_ylim(0, 1.4 * right.get_ylim()[1])                    # room for the legend
    right.locator_params(axis="x", nbins=6)
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.tick_params(labelsize=12)
        axes.legend(fontsize=12)
    return figure
