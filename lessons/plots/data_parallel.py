"""Data parallelism in four pictures: the same training, what it sends, when it pays, how to hide the sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from minipar.lessons.plots.style import BLUE, GREY, LINES, ORANGE, one_chart

from minipar.plots.ticks import plain_ticks


def draw_losses(losses: Mapping[str, Sequence[float]], floor: float) -> Figure:
    """losses: by number of ranks, in nats per token, one per step; floor: the best possible one."""
    figure, axes = one_chart("More ranks, the same training", "step", "loss, nats per token")
    for number, (name, values) in enumerate(losses.items()):
        axes.plot(
            values, linewidth=10 / 2**number, color=LINES[number], label=name
        )  # the widest first: all are seen
    _bound(axes, floor, "best possible mean")
    axes.legend(fontsize=16)
    return figure


def draw_traffic(
    traffic: Mapping[str, Mapping[int, float]], counted: Mapping[str, tuple[int, float]]
) -> Figure:
    """traffic: by algorithm, ranks -> what the busiest rank sends, in units of the gradient; counted: by algorithm,
    (ranks, the same).
    """
    figure, axes = one_chart("On a ring, no rank sends more than 2 gradients", "ranks",
                             "sent by the busiest rank, in gradients")
    for (name, by_ranks), color, style in zip(traffic.items(), (BLUE, ORANGE), ("-", "--"), strict=True):
        axes.plot(
            list(by_ranks), list(by_ranks.values()), style, linewidth=4, color=color, label=f"{name}, formula"
        )
        axes.plot(*counted[name], "o", markersize=13, color=color, label=f"{name}, counted")
    axes.legend(fontsize=16)
    return figure


def draw_steps(steps: Mapping[str, Mapping[int, float]]) -> Figure:
    """steps: by network, ranks -> milliseconds."""
    figure, axes = one_chart("A slow network makes more ranks slower", "ranks", "milliseconds per step")
    for (name, by_ranks), color, style in zip(steps.items(), (ORANGE, BLUE), ("s--", "o-"), strict=True):
        axes.plot(list(by_ranks), list(by_ranks.values()), style, linewidth=4, markersize=12, color=color, label=name)
    ranks = list(next(iter(steps.values())))
    whole = next(iter(steps.values()))[ranks[0]]
    axes.plot(ranks, [whole / rank for rank in ranks], color=GREY, linestyle=":", linewidth=3,
              label="without communication")
    axes.set(xscale="log", yscale="log")
    plain_ticks(axes.xaxis, ranks)
    plain_ticks(axes.yaxis)
    axes.legend(fontsize=16)
    return figure


def draw_buckets(buckets: Mapping[int, float], bound: float) -> Figure:
    """buckets: their number -> milliseconds; bound: the longer one of backward and all-reduce."""
    figure, axes = one_chart("A few buckets hide the sum; many pay latency", "buckets", "milliseconds")
    axes.plot(list(buckets), list(buckets.values()), "o-", linewidth=4, markersize=12, color=BLUE,
              label="backward and all-reduce")
    _bound(axes, bound, "the longer of the two")
    axes.set(xscale="log")
    axes.set_ylim(bottom=0)
    plain_ticks(axes.xaxis, buckets)
    axes.legend(fontsize=16)
    return figure


def _bound(axes: Axes, y: float, label: str) -> None:
    axes.axhline(y, color=GREY, linestyle=":", linewidth=3, label=label)
