"""What compression costs: the size of a model's file against its validation loss."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

Point = tuple[float, float]                                         # KiB, nats
CEILING = 1.0  # nats above the best: what lies higher is drawn at the edge
STAR: dict[str, Any] = {"marker": "*", "markersize": 18, "linestyle": "", "zorder": 3}


class Row(NamedTuple):
    """One model: how it was compressed, with which setting; validation loss in nats per token; bytes of its
    file.
    """

    method: str
    setting: str
    loss: float
    bytes: int


def draw_compression(rows: Iterable[Row]) -> Figure:
    """One line per method, through its settings in their order; a method of one setting is a star."""
    methods: dict[str, list[Row]] = {}
    for row in rows:
        methods.setdefault(row.method, []).append(row)
    best = min(row.loss for group in methods.values() for row in group)
    top = best + CEILING
    figure = Figure(figsize=(11, 6.5), layout="constrained")
    axes = figure.add_subplot()
    points = {method: [(row.bytes / 1024, min(row.loss, top)) for row in group]
              for method, group in methods.items()}
    labelled: list[Point] = []
    for number, (method, group) in enumerate(methods.items()):
        line = {"marker": "os^Dv<>p"[number % 8], "markersize": 8, "linewidth": 2}
        style: dict[str, Any] = STAR if len(group) == 1 else line
        axes.plot(*zip(*points[method], strict=True), color=f"C{number}", label=method, **style)
        others = [point for other in methods if other != method for point in points[other]]
        for row, point in zip(group, points[method], strict=True):
            _label(axes, row.setting, point, f"C{number}", labelled, others)
    axes.axhline(top, color="gray", linestyle=":")
    axes.annotate(f"{CEILING:g} nat above the best, or more", (0.99, top), xycoords=("axes fraction", "data"),
                  color="gray", textcoords="offset points", xytext=(0, 6), ha="right")
    axes.set(xscale="log", ylim=(best - 0.1, top + 0.08))
    axes.margins(x=0.09)
    axes.set_title("What compression costs", fontsize=16)
    axes.set_xlabel("file (KiB)", fontsize=13)
    axes.set_ylabel("validation loss (nats per token)", fontsize=13)
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(ScalarFormatter())
    axes.tick_params(axis="x", which="both", labelsize=9)
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=12, loc="upper right", bbox_to_anchor=(1, 0.93))
    return figure


def _label(axes: Axes, text: str, point: Point, color: str, labelled: list[Point],
           others: Iterable[Point]) -> None:
    """Write a text beside its place, unless it would lie on another one; below, if a point of another method
    is just above.
    """
    if any(_apart(point, other) < 0.16 and abs(point[1] - other[1]) < 0.03 for other in labelled):
        return
    labelled.append(point)
    below = any(_apart(point, other) < 0.14 and 0.02 < other[1] - point[1] < 0.105 for other in others)
    axes.annotate(text, point, textcoords="offset points", xytext=(-4, -14) if below else (6, 6),
                  ha="right" if below else "left", fontsize=10, color=color)


def _apart(point: Point, other: Point) -> float:
    """How far sideways, on the logarithmic axis."""
    return abs(math.log(point[0] / other[0]))
