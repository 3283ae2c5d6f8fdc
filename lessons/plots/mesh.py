"""What a rank holds and what it sends, for each way to lay ranks out on a mesh."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from minipar.plots.trace import COLORS

AXES = {"dp": "#332288", "tp": "#D55E00", "pp": "#882255"}          # none of those of memory
KIB = 1 << 10


def draw_mesh(memory: Mapping[str, Mapping[str, int]], sent: Mapping[str, Mapping[str, int]]) -> Figure:
    """Layout -> bytes on its fullest rank, by line; layout -> the most bytes that a rank sends in a step, by
    axis.
    """
    figure = Figure(figsize=(14, 1.8 + 0.55 * len(memory)), layout="constrained")
    held, traffic = figure.subplots(1, 2, sharey=True)
    _bars(held, memory, COLORS)
    _bars(traffic, sent, AXES)
    held.invert_yaxis()
    held.set_title("Memory of the fullest rank", fontsize=15)
    held.set_ylabel("dp x tp x pp", fontsize=13)
    traffic.set_title("Sent in one step, the most of any rank", fontsize=15)
    return figure


def _bars(axes: Axes, by_layout: Mapping[str, Mapping[str, int]], colors: Mapping[str, str]) -> None:
    names, ends = list(by_layout), [0.0] * len(by_layout)
    for part, color in colors.items():
        widths = [parts[part] / KIB for parts in by_layout.values()]
        axes.barh(names, widths, left=ends, color=color, label=part)
        ends = [end + width for end, width in zip(ends, widths, strict=True)]
    for name, end in zip(names, ends, strict=True):
        axes.annotate(f"{end:,.0f}", (end, name), (5, 0), textcoords="offset points", va="center",
                      fontsize=12)
    axes.set_xlim(right=1.15 * max(ends))
    axes.set_xlabel("KiB", fontsize=13)
    axes.tick_params(labelsize=12)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=12, loc="lower right")
