"""What compression costs: the size of a model's file against its validation loss."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

CEILING = 1.0                                                       # nats above the best: what lies higher is drawn at the edge


class Row(NamedTuple):
    """One model: how it was compressed, with which setting; validation loss in nats per token; bytes of its file."""

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
    points = [(method, row.bytes / 1024, min(row.loss, top)) for method, group in methods.items() for row in group]
    labels: list[tuple[float, float]] = []                          # where there is one
    for number, (method, group) in enumerate(methods.items()):
        sizes, losses = [row.bytes / 1024 for row in group], [min(row.loss, top) for row in group]
        style = dict(marker="*", markersize=18, linestyle="", zorder=3) if len(group) == 1 else dict(
            marker="os^Dv<>p"[number % 8], markersize=8, linewidth=2)
        axes.plot(sizes, losses, color=f"C{number}", label=method, **style)     # type: ignore[arg-type]
        for row, size, loss in zip(group, sizes, losses, strict=True):
            if not any(abs(math.log(size / x)) < 0.16 and abs(loss - y) < 0.03 for x, y in labels):     # it would lie on another
                labels.append((size, loss))
                others = [(x, y) for other, x, y in points if other != method]
                below = any(abs(math.log(size / x)) < 0.14 and 0.02 < y - loss < 0.105 for x, y in others)     # one is just above
                axes.annotate(row.setting, (size, loss), textcoords="offset points", xytext=(-4, -14) if below else (6, 6),
                              ha="right" if below else "left", fontsize=10, color=f"C{number}")
    axes.axhline(top, color="gray", linestyle=":")
    axes.annotate(f"{CEILING:g} nat above the best, or more", (0.99, top), xycoords=("axes fraction", "data"), color="gray",
                  textcoords="offset points", xytext=(0, 6), ha="right")
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
