"""What a rank holds and what it sends, for each way to lay ranks out on a mesh."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure
from minipar.lessons.plots.style import one_chart

from minipar.plots.trace import COLORS

AXES = {"dp": "#0072b2", "tp": "#d55e00", "pp": "#000000"}
LINES = {line: COLORS[line] for line in ("weights", "gradients", "optimizer", "activations")}
KIB = 1 << 10


def draw_memory(memory: Mapping[str, Mapping[str, int]]) -> Figure:
    """memory: layout -> bytes on its fullest rank, by line."""
    return _bars("tp and pp split the weights, dp does not", "KiB on the fullest rank", memory, LINES)


def draw_sent(sent: Mapping[str, Mapping[str, int]]) -> Figure:
    """sent: layout -> the most bytes that a rank sends in a step, by axis."""
    return _bars("Each axis has traffic of its own", "KiB sent in one step by the busiest rank", sent, AXES)


def _bars(
    message: str, x: str, by_layout: Mapping[str, Mapping[str, int]], colors: Mapping[str, str]
) -> Figure:
    figure, axes = one_chart(message, x, "dp x tp x pp")
    names, ends = list(by_layout), [0.0] * len(by_layout)
    for part, color in colors.items():
        widths = [parts[part] / KIB for parts in by_layout.values()]
        axes.barh(names, widths, left=ends, color=color, label=part)
        ends = [end + width for end, width in zip(ends, widths, strict=True)]
    for name, end in zip(names, ends, strict=True):
        axes.annotate(
            f"{end:,.0f}", (end, name), (6, 0), textcoords="offset points", va="center", fontsize=15
        )
    axes.set_xlim(right=1.15 * max(ends))
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(fontsize=16, loc="outside lower center", ncols=3, frameon=False)
    return figure
