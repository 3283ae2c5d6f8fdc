"""Where optimisers go on a long narrow bowl, and how their losses fall."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

COLORS, STYLES = ("#d55e00", "#cc79a7", "#0072b2", "#009e73", "#555555"), ("--", ":", "-", "-.", "-")


def draw_adam(paths: Mapping[str, tuple[np.ndarray, np.ndarray]], bowl: np.ndarray) -> Figure:
    """paths: name -> places [steps + 1, 2] and losses [steps + 1]; bowl: the loss is bowl[0] a^2 + bowl[1]
    b^2.
    """
    figure = Figure(figsize=(12, 5.2), layout="constrained")
    ground, curves = figure.subplots(1, 2)
    a, b = np.meshgrid(np.linspace(-1.3, 1.3, 200), np.linspace(-0.25, 1.15, 200))
    ground.contour(a, b, np.log10(bowl[0] * a**2 + bowl[1] * b**2 + 1e-4), levels=12, colors="gray",
                   alpha=0.4, linewidths=1)
    for color, style, (name, (positions, losses)) in zip(COLORS, STYLES, paths.items(), strict=True):
        near = (
            positions[: np.argmax(abs(positions).max(axis=1) > 1.5)]
            if abs(positions).max() > 1.5
            else positions
        )
        ground.plot(*near.T, "o", linestyle=style, color=color, markersize=4, linewidth=2.5, label=name)
        curves.plot(np.clip(losses, 1e-12, 1e12), linestyle=style, color=color, linewidth=3.5, label=name)
    ground.plot(0, 0, "k*", markersize=14)
    ground.set(xlim=(-1.3, 1.3), ylim=(-0.25, 1.15))
    ground.set_xlabel("a: bends 100 times more", fontsize=15)
    ground.set_ylabel("b", fontsize=15)
    ground.set_title("Adam goes straight, SGD jumps", fontsize=18)
    curves.set(yscale="log", ylim=(1e-10, 1e10))
    curves.set_xlabel("step", fontsize=15)
    curves.set_ylabel("loss", fontsize=15)
    curves.set_title("At 0.03 SGD diverges, Adam converges", fontsize=18)
    curves.legend(fontsize=13)
    for axes in (ground, curves):
        axes.grid(alpha=0.3)
        axes.tick_params(labelsize=14)
    return figure
