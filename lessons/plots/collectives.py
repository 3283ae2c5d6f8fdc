"""Collectives: a ring step by step, what each algorithm sends, and how long it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

Points = Mapping[float, float]
# from one rank's share to the complete sum
CONTRIBUTIONS = ["#f4f4f4", "#cfe3f5", "#9cc9e8", "#5aa5d6", "#2c7fb8"]


def draw_ring(history: Sequence[Sequence[Sequence[frozenset[int]]]]) -> Figure:
    """history[step][rank][chunk]: the ranks whose shares are in that chunk of that rank's buffer. One panel
    per step.
    """
    p, columns = len(history[0]), (len(history) + 1) // 2
    figure = Figure(figsize=(2.5 * columns, 5.6), layout="constrained")
    grid = figure.subplots(2, columns, squeeze=False)
    panels = [*grid[0], *grid[1]]
    for step, (panel, buffers) in enumerate(zip(panels, history, strict=False)):
        before = history[max(step - 1, 0)]
        for rank, chunks in enumerate(buffers):
            for chunk, holds in enumerate(chunks):
                _cell(panel, chunk, rank, holds, p, changed=holds != before[rank][chunk])
        half = "reduce-scatter" if step < p else "all-gather"
        panel.set_title("the start" if step == 0 else f"step {step}: {half}", fontsize=10)
        panel.set(xlim=(0, p), ylim=(p, 0), aspect="equal")
        panel.set_xticks([chunk + 0.5 for chunk in range(p)], [f"chunk {chunk}" for chunk in range(p)],
                         fontsize=7)
        panel.set_yticks([rank + 0.5 for rank in range(p)], [f"rank {rank}" for rank in range(p)], fontsize=7)
        panel.tick_params(length=0)
    for panel in panels[len(history):]:
        panel.set_axis_off()
    figure.suptitle("Whose shares are in each chunk of each rank's buffer; in orange, what the step has "
                    "changed", fontsize=11)
    return figure


def _cell(panel: Axes, chunk: int, rank: int, holds: frozenset[int], p: int, *, changed: bool) -> None:
    shade = CONTRIBUTIONS[-(-(len(holds) - 1) * (len(CONTRIBUTIONS) - 1) // max(1, p - 1))]
    panel.add_patch(Rectangle((chunk + 0.04, rank + 0.04), 0.92, 0.92, facecolor=shade, linewidth=2.2
                              if changed else 0.5, edgecolor="tab:orange" if changed else "gray"))
    text = (
        "all"
        if len(holds) == p
        else "+".join(map(str, sorted(holds)))
        if len(holds) < 4
        else f"{len(holds)} of {p}"
    )
    panel.text(chunk + 0.5, rank + 0.5, text, ha="center", va="center", fontsize=8,
               color="white" if len(holds) == p else "black")


def draw_all_reduces(sent: Mapping[str, Points], counted: Mapping[str, tuple[int, float]],
                     model: Mapping[str, Points],
                     clocked: Mapping[str, Points], crossing: float, measured: Mapping[str, Points],
                     place: str) -> Figure:
    """sent: algorithm -> ranks -> bytes of the busiest rank, in units of the array; counted: algorithm ->
    (ranks, the same). model, clocked, measured: algorithm -> bytes of the array -> seconds; crossing: bytes;
    place: what was measured, in words.
    """
    figure = Figure(figsize=(13, 4.3), layout="constrained")
    traffic, times, here = figure.subplots(1, 3)
    colors = {name: f"C{number}" for number, name in enumerate(sent)}
    for number, (name, by_ranks) in enumerate(sent.items()):
        traffic.plot(list(by_ranks), list(by_ranks.values()), color=colors[name], linewidth=2.8 - 0.5
                     * number, label=name)
        traffic.plot(*counted[name], "o", color=colors[name])
    traffic.set(title="What the busiest rank sends\n(lines: formulas, dots: counted)", xlabel="ranks",
                ylabel="times the array", ylim=(0, 8))
    for axes, curves in ((times, model), (here, measured)):
        for name, by_size in curves.items():
            style = "-" if axes is times else "o-"
            axes.plot(list(by_size), list(by_size.values()), style, color=colors[name], label=name,
                      markersize=4)
        axes.set(xscale="log", yscale="log", xlabel="bytes of the array", ylabel="seconds")
    for name, by_size in clocked.items():
        times.plot(list(by_size), list(by_size.values()), "o", color=colors[name])
    times.axvline(crossing, color="gray", linestyle=":")
    times.annotate("tree = ring", (crossing, times.get_ylim()[0]), textcoords="offset points", xytext=(4, 6),
                   color="gray")
    times.set_title("By alpha and beta\n(lines: formulas, dots: the clock)")
    here.set_title(f"On this machine\n({place})")
    for axes in (traffic, times, here):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    return figure
