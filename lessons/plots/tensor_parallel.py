"""Tensor parallelism in pictures: which rank holds what, what travels in each direction, and how much."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from minipar.plots.ticks import plain_ticks

WHOLE = "lightgray"                                                 # every rank holds all of it


class Piece(NamedTuple):
    """An array in the picture: its name, width and height, along which side it is cut ("", "x" or "y"), what
    becomes of it.
    """

    name: str
    width: float
    height: float
    cut: str = ""
    caption: str = ""


OUTPUTS = [Piece("x", 1, 1, caption="dx: all-reduce\nbackward"), Piece("W", 2, 1, "x", "dW\nstays"),
           Piece("y", 2, 1, "x", "y: all-gather\nforward")]
INPUTS = [Piece("x", 2, 1, "x", "dx: all-gather\nbackward"), Piece("W", 1, 2, "y", "dW\nstays"),
          Piece("y", 1, 1, caption="y: all-reduce\nforward")]
PAIR = [Piece("x", 1, 1, caption="dx: all-reduce\nbackward"), Piece("up", 2, 1, "x", "stays"),
        Piece("h", 2, 1, "x", "stays"),
        Piece("down", 1, 2, "y", "stays"), Piece("y", 1, 1, caption="y: all-reduce\nforward")]


def draw_tensor_parallel(ranks: int, sent: Mapping[str, Mapping[int, float]],
                         held: Mapping[int, float]) -> Figure:
    """ranks: over how many the arrays are cut. sent: by method, ranks -> gigabytes sent by each rank in a
    step; held: ranks -> gigabytes of weights on each rank.
    """
    figure = Figure(figsize=(14, 7.8), layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=(4, 6))
    shards, amounts, memory = (
        figure.add_subplot(grid[0, :]),
        figure.add_subplot(grid[1, 0]),
        figure.add_subplot(grid[1, 1]),
    )
    left = 0.0
    for title, pieces in (("Split of the outputs", OUTPUTS), ("Split of the inputs", INPUTS),
                          ("A pair of layers", PAIR)):
        left = _draw_product(shards, title, pieces, ranks, left) + 1.7
    shards.set_title(f"One color for each of {ranks} ranks; gray: every rank holds all of it", fontsize=15)
    shards.set(xlim=(-0.6, left - 0.8), ylim=(-0.9, 3.2), aspect="equal")
    shards.axis("off")
    for name, by_ranks in sent.items():
        amounts.plot(list(by_ranks), list(by_ranks.values()), "o-", linewidth=2.5, markersize=8, label=name)
    amounts.set_title("What each rank sends in one step of GPT-3", fontsize=15)
    memory.plot(list(held), list(held.values()), "o-", color="tab:green", linewidth=2.5, markersize=8,
                label="weights")
    memory.set_title("What each rank holds of GPT-3", fontsize=15)
    for axes in (amounts, memory):
        axes.set(xscale="log")
        axes.set_xlabel("ranks that share each weight", fontsize=13)
        axes.set_ylabel("GB", fontsize=13)
        axes.tick_params(labelsize=12)
        axes.set_ylim(bottom=0)
        plain_ticks(axes.xaxis, held)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=12)
    return figure


def _draw_product(axes: Axes, title: str, pieces: list[Piece], ranks: int, left: float) -> float:
    """The arrays of a product side by side, from `left` on; returns where they end."""
    begin, gap = left, 0.9
    for number, piece in enumerate(pieces):
        bottom = (2 - piece.height) / 2
        parts = ranks if piece.cut else 1
        width, height = piece.width / (parts if piece.cut == "x"
                                       else 1), piece.height / (parts if piece.cut == "y" else 1)
        for part in range(parts):                                   # rank 0 on the left, or on top
            corner = (left + part * width * (piece.cut == "x"), bottom + (parts - 1 - part) * height
                      * (piece.cut == "y"))
            color = f"C{part % 10}" if piece.cut else WHOLE
            axes.add_patch(Rectangle(corner, width, height, facecolor=color, edgecolor="black", alpha=0.8))
        middle = left + piece.width / 2
        axes.text(middle, bottom + piece.height + 0.1, piece.name, ha="center", va="bottom", fontsize=14)
        axes.text(middle, -0.1, piece.caption, ha="center", va="top", fontsize=12)
        left += piece.width
        if number < len(pieces) - 1:
            sign = "=" if pieces[number + 1].name in ("y", "h") else "·"
            axes.text(left + gap / 2, 1, sign, ha="center", va="center", fontsize=17)
            left += gap
    axes.text((begin + left) / 2, 2.9, title, ha="center", va="center", fontsize=14)
    return left
