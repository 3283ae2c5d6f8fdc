"""Tensor parallelism in pictures: which rank holds what, what travels in each direction, and how much."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from minipar.lessons.plots.style import BLUE, ORANGE, one_chart

from minipar.plots.ticks import plain_ticks

WHOLE = "#dddddd"                                                   # every rank holds all of it
SHARDS = (BLUE, "#e69f00", "#56b4e9", ORANGE, "#f0e442", "#cc79a7", "#000000", "#009e73")     # Okabe and Ito
DEVICE = 80                                                         # GB of memory


class DrawnArray(NamedTuple):
    """An array in the picture: its name, width and height, along which side it is split ("", "x" or "y"), and what
    becomes of it.
    """

    name: str
    width: float
    height: float
    split: str = ""
    caption: str = ""


PRODUCTS = {
    "W split by columns": [DrawnArray("x", 1, 1, caption="dx: all-reduce"), DrawnArray("W", 2, 1, "x", "stays"),
                           DrawnArray("y", 2, 1, "x", "all-gather")],
    "W split by rows": [DrawnArray("x", 2, 1, "x", "dx: all-gather"), DrawnArray("W", 1, 2, "y", "stays"),
                        DrawnArray("y", 1, 1, caption="all-reduce")],
    "A pair: columns, then rows": [DrawnArray("x", 1, 1, caption="dx: all-reduce"), DrawnArray("up", 2, 1, "x", "stays"),
                                   DrawnArray("h", 2, 1, "x", "stays"), DrawnArray("down", 1, 2, "y", "stays"),
                                   DrawnArray("y", 1, 1, caption="all-reduce")]}


def draw_shards(ranks: int) -> Figure:
    """Three ways to multiply, above one another. ranks: over how many the arrays are split."""
    figure = Figure(figsize=(11, 11), layout="constrained")
    figure.suptitle("Weights are split and stay; x and y travel", fontsize=26)
    charts = figure.subplots(3, 1)
    for axes, (title, pieces) in zip(charts, PRODUCTS.items(), strict=True):
        right = _draw_product(axes, pieces, ranks)
        axes.set_title(title, fontsize=21, loc="left")
        axes.set(xlim=(-1.2, max(right, 9.0) + 1.2), ylim=(-1.05, 2.6), aspect="equal")
        axes.axis("off")
    figure.legend(handles=[*(Patch(facecolor=SHARDS[rank % len(SHARDS)], edgecolor="black", label=f"rank {rank}")
                             for rank in range(ranks)), Patch(facecolor=WHOLE, edgecolor="black", label="all ranks")],
                  loc="outside lower center", ncols=min(ranks + 1, 5), frameon=False, fontsize=18)
    return figure


def draw_sent(sent: Mapping[str, Mapping[int, float]]) -> Figure:
    """sent: by what it is, ranks -> gigabytes sent by each rank in a step."""
    figure, axes = one_chart("GPT-3: activations are the smaller traffic", "ranks that share each weight",
                             "GB sent by each rank per step")
    for (name, by_ranks), color, style in zip(sent.items(), (BLUE, ORANGE), ("o-", "s--"), strict=True):
        axes.plot(list(by_ranks), list(by_ranks.values()), style, linewidth=4, markersize=12, color=color, label=name)
    _by_ranks(axes, next(iter(sent.values())))
    axes.legend(fontsize=17)
    return figure


def draw_held(held: Mapping[int, float]) -> Figure:
    """held: ranks -> gigabytes of weights on each rank."""
    figure, axes = one_chart(
        "GPT-3: twice the ranks, half the weights on each",
        "ranks that share each weight",
        "GB of weights on each rank",
    )
    axes.plot(list(held), list(held.values()), "o-", linewidth=4, markersize=12, color=BLUE)
    axes.axhline(DEVICE, color=ORANGE, linestyle="--", linewidth=3, label=f"one device has {DEVICE} GB")
    _by_ranks(axes, held)
    axes.legend(fontsize=17)
    return figure


def _by_ranks(axes: Axes, ranks: Mapping[int, float]) -> None:
    axes.set(xscale="log")
    axes.set_ylim(bottom=0)
    plain_ticks(axes.xaxis, ranks)


def _draw_product(axes: Axes, pieces: list[DrawnArray], ranks: int) -> float:
    """The arrays of a product side by side; returns where they end."""
    left, gap = 0.0, 1.0
    for number, piece in enumerate(pieces):
        bottom = (2 - piece.height) / 2
        parts = ranks if piece.split else 1
        width = piece.width / (parts if piece.split == "x" else 1)
        height = piece.height / (parts if piece.split == "y" else 1)
        for part in range(parts):                                   # rank 0 on the left, or on top
            corner = (left + part * width * (piece.split == "x"),
                      bottom + (parts - 1 - part) * height * (piece.split == "y"))
            color = SHARDS[part % len(SHARDS)] if piece.split else WHOLE
            axes.add_patch(Rectangle(corner, width, height, facecolor=color, edgecolor="black"))
        middle = left + piece.width / 2
        axes.text(middle, bottom + piece.height + 0.08, piece.name, ha="center", va="bottom", fontsize=19)
        axes.text(middle, -0.08, piece.caption, ha="center", va="top", fontsize=16)
        left += piece.width
        if number < len(pieces) - 1:
            sign = "=" if pieces[number + 1].name in ("y", "h") else "·"
            axes.text(left + gap / 2, 1, sign, ha="center", va="center", fontsize=22)
            left += gap
    return left
