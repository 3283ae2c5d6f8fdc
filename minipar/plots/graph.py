"""Plots a graph before and after its optimisation, and the effect of each pass."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from minipar.graph.graph import OpGraph
from minipar.graph.optimise import PassReport

KEPT, REMOVED, NEW, INPUT = "#cfe3f5", "#f9dfc7", "#d9ead3", "#eeeeee"
STEP = 0.6                                                         # inches for one row of nodes


def draw_graphs(before: OpGraph, after: OpGraph) -> Figure:
    """Draw both graphs side by side. Each box is a node and each arrow a value; constants are not drawn.

    Orange nodes exist only in `before`, and green nodes only in `after`.
    """
    rows = 1 + max(max(_depths(graph).values(), default=0) for graph in (before, after))
    figure = Figure(figsize=(13, 1.2 + STEP * rows), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, graph, other, color, text in ((left, before, after, REMOVED, "nodes (orange: removed)"),
                                            (right, after, before, NEW, "nodes (green: new)")):
        known = {(node.name, node.op) for node in other.nodes}
        colors = {node.name: KEPT if (node.name, node.op) in known else color for node in graph.nodes}
        _draw(axes, graph, colors)
        axes.set(ylim=(rows - 0.5, -0.5), xticks=[], yticks=[])
        axes.set_title(f"{len(graph.nodes)} {text}", loc="left", fontsize=18)
        axes.spines[:].set_visible(False)
    return figure


def draw_passes(reports: Sequence[PassReport]) -> Figure:
    """Draw three charts with one row per pass: nodes, bytes moved and FLOPs of the graph after the pass."""
    figure = Figure(figsize=(14, 1.2 + 0.5 * len(reports)), layout="constrained")
    charts = figure.subplots(1, 3, sharey=True)
    numbers = {"nodes": [float(one.nodes) for one in reports],
               "MB moved": [one.moved_bytes / 1e6 for one in reports],
               "MFLOP": [one.flops / 1e6 for one in reports]}
    for axes, (title, values) in zip(charts, numbers.items(), strict=True):
        bars = axes.barh(range(len(reports)), values, color=KEPT, edgecolor="0.5")
        axes.bar_label(bars, [f"{value:.4g}" for value in values], padding=3, fontsize=13)
        axes.set_title(title, fontsize=18)
        axes.set(xlim=(0, 1.35 * max([*values, 1e-9])), xticks=[])
        axes.spines[["top", "right", "bottom"]].set_visible(False)
    charts[0].set_yticks(range(len(reports)), [one.name for one in reports], fontsize=13)
    charts[0].set_ylim(len(reports) - 0.5, -0.5)
    return figure


def _depths(graph: OpGraph) -> dict[str, int]:
    """Map each value to its row. A value is one row below the lowest of its inputs. Constants are left out.
    """
    depths = dict.fromkeys(graph.inputs, 0)
    for node in graph.nodes:
        depths[node.name] = 1 + max((depths.get(name, 0) for name in node.inputs), default=0)
    return depths


def _draw(axes: Axes, graph: OpGraph, colors: dict[str, str]) -> None:
    depths = _depths(graph)
    rows: dict[int, list[str]] = {}
    for name, depth in depths.items():
        rows.setdefault(depth, []).append(name)
    at = {name: (column - (len(names) - 1) / 2, depth)
          for depth, names in rows.items() for column, name in enumerate(names)}
    widest = max(map(len, rows.values()), default=1)
    axes.set_xlim(-widest / 2 - 0.1, widest / 2 + 0.1)
    for node in graph.nodes:
        for name in dict.fromkeys(node.inputs):
            if name in at:
                bend = 0.4 if depths[node.name] - depths[name] > 1 else 0   # around boxes between both
                style = {"arrowstyle": "-|>", "color": "0.6", "shrinkB": 18,
                         "connectionstyle": f"arc3,rad={bend}"}
                axes.annotate("", xy=at[node.name], xytext=at[name], zorder=1, arrowprops=style)
    for name, (x, y) in at.items():
        text = graph.makers[name].op if name in graph.makers else name
        axes.text(x, y, text, ha="center", va="center", fontsize=13, zorder=2,
                  bbox={"boxstyle": "round", "fc": colors.get(name, INPUT), "ec": "0.5"})
