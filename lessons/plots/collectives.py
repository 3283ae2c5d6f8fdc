"""Collectives: a ring step by step, what each algorithm sends, and how long it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from minipar.lessons.plots.style import GREY, LINES, ORANGE, one_chart

Points = Mapping[float, float]
STYLES = {"naive": "-", "tree": "--", "ring": "-", "halving_doubling": "-."}
# from one rank's share to the complete sum
CONTRIBUTIONS = ["#f4f4f4", "#cfe3f5", "#9cc9e8", "#5aa5d6", "#2c7fb8"]


def draw_ring(history: Sequence[Sequence[Sequence[frozenset[int]]]]) -> Figure:
    """history[step][rank][chunk]: the ranks whose shares are in that chunk of that rank's buffer. One panel
    per step.
    """
    p, columns = len(history[0]), (len(history) + 1) // 2
    figure = Figure(figsize=(3.4 * columns, 7.6), layout="constrained")
    grid = figure.subplots(2, columns, squeeze=False)
    panels = [*grid[0], *grid[1]]
    for step, (panel, buffers) in enumerate(zip(panels, history, strict=False)):
        before = history[max(step - 1, 0)]
        for rank, chunks in enumerate(buffers):
            for chunk, holds in enumerate(chunks):
                _cell(panel, chunk, rank, holds, p, changed=holds != before[rank][chunk])
        half = "reduce-scatter" if step < p else "all-gather"
        panel.set_title("the start" if step == 0 else f"step {step}: {half}", fontsize=14)
        panel.set(xlim=(0, p), ylim=(p, 0), aspect="equal")
        panel.set_xticks([chunk + 0.5 for chunk in range(p)], [str(chunk) for chunk in range(p)],
                         fontsize=11)
        panel.set_yticks(
            [rank + 0.5 for rank in range(p)], [f"rank {rank}" for rank in range(p)], fontsize=11
        )
        panel.set_xlabel("chunk", fontsize=12)
        panel.tick_params(length=0)
    for panel in panels[len(history):]:
        panel.set_axis_off()
    figure.suptitle("Each step adds one rank to one chunk (orange: changed)", fontsize=20)
    return figure


def _cell(panel: Axes, chunk: int, rank: int, holds: frozenset[int], p: int, *, changed: bool) -> None:
    shade = CONTRIBUTIONS[-(-(len(holds) - 1) * (len(CONTRIBUTIONS) - 1) // max(1, p - 1))]
    panel.add_patch(Rectangle((chunk + 0.04, rank + 0.04), 0.92, 0.92, facecolor=shade, linewidth=3.5
                              if changed else 0.5, edgecolor=ORANGE if changed else "gray"))
    text = (
        "all"
        if len(holds) == p
        else "+".join(map(str, sorted(holds)))
        if len(holds) < 4
        else f"{len(holds)} of {p}"
    )
    panel.text(chunk + 0.5, rank + 0.5, text, ha="center", va="center", fontsize=12,
               color="white" if len(holds) == p else "black")


def draw_sent(sent: Mapping[str, Points], counted: Mapping[str, tuple[int, float]]) -> Figure:
    """sent: algorithm -> ranks -> bytes of the busiest rank, in units of the array; counted: algorithm -> (ranks, the
    same).
    """
    figure, axes = one_chart("A ring sends less than two arrays", "ranks", "arrays sent by the busiest rank")
    for (name, by_ranks), color in zip(sent.items(), LINES, strict=False):
        axes.plot(list(by_ranks), list(by_ranks.values()), STYLES[name], color=color, linewidth=4, label=name)
        axes.plot(*counted[name], "o", markersize=13, color=color)
    axes.set_ylim(0, 8)
    axes.legend(title="lines: formulas, dots: counted", fontsize=16, title_fontsize=15)
    return figure


def draw_times(model: Mapping[str, Points], clocked: Mapping[str, Points], crossing: float) -> Figure:
    """model, clocked: algorithm -> bytes of the array -> seconds; crossing: bytes."""
    figure, axes = one_chart(
        "Few messages for short arrays, few bytes for long ones", "bytes of the array", "seconds"
    )
    for (name, by_size), color in zip(model.items(), LINES[1:], strict=False):
        axes.plot(list(by_size), list(by_size.values()), STYLES[name], color=color, linewidth=4, label=name)
        axes.plot(list(clocked[name]), list(clocked[name].values()), "o", markersize=11, color=color)
    axes.set(xscale="log", yscale="log")
    axes.axvline(crossing, color=GREY, linestyle=":", linewidth=3)
    axes.annotate("tree = ring", (crossing, axes.get_ylim()[0]), (8, 10), textcoords="offset points", color=GREY,
                  fontsize=16)
    axes.legend(title="lines: formulas, dots: virtual clock", fontsize=16, title_fontsize=15)
    return figure


def draw_race(measured: Mapping[str, Points], ranks: str) -> Figure:
    """measured: algorithm -> bytes of the array -> seconds; ranks: how many, of what kind, in words."""
    figure, axes = one_chart(f"On this machine, {ranks}", "bytes of the array", "seconds")
    for (name, by_size), color in zip(measured.items(), LINES[1:], strict=False):
        axes.plot(list(by_size), list(by_size.values()), STYLES[name], marker="o", color=color, linewidth=3, label=name)
    axes.set(xscale="log", yscale="log")
    axes.legend(fontsize=16)
    return figure
