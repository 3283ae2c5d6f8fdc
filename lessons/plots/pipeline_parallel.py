"""Schedules of a pipeline below one another on one axis of time, and how their bubbles shrink with more
micro-batches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from minipar.plots.schedule import BUBBLE, COLORS, draw_gantt
from minipar.plots.ticks import plain_ticks
from minipar.schedules.footprint import peak_activations
from minipar.schedules.simulate import Timeline

NAMES = {"naive": "layer parallel", "gpipe": "GPipe", "1f1b": "1F1B", "zb-h1": "ZB-H1",
         "interleaved": "interleaved, 2 stages each"}
STYLES = {"naive": "s-", "gpipe": "o-", "1f1b": "x--", "zb-h1": "^-", "interleaved": "v-"}
MEANING = {"F": "forward", "B": "backward (ZB-H1: gradient of the input)", "W": "gradient of the weights"}
WIDTH, BARS = 15.0, 9.0  # inches: of the picture, of the longest chart's bars


def draw_pipeline_parallel(timelines: Sequence[Timeline],
                           bubbles: Mapping[str, Mapping[int, float]]) -> Figure:
    """timelines: of the schedules, from top to bottom. bubbles: schedule -> micro-batches -> share of all
    time.
    """
    ranks, longest = timelines[0].schedule.ranks, max(float(timeline.makespan) for timeline in timelines)
    figure = Figure(figsize=(WIDTH, 1.6 + len(timelines) * (0.7 + 0.24 * ranks)), layout="constrained")
    grid = figure.add_gridspec(1, 2, width_ratios=(5, 3))
    charts, curves = (figure.add_subfigure(grid[column]) for column in range(2))
    for axes, timeline in zip(charts.subplots(len(timelines), 1, sharex=True), timelines, strict=True):
        draw_gantt(axes, timeline, inches=BARS / longest)
        axes.set(xlim=(0, longest), xlabel="")
        peaks = ", ".join(map(str, peak_activations(timeline.schedule)))
        axes.set_title(f"{NAMES[timeline.schedule.name]}: bubble {100 * float(timeline.bubble()):.0f} %, "
                       f"tapes at once {peaks}", loc="left", fontsize=13)
    axes.set_xlabel("time (one forward takes 1)", fontsize=13)
    handles = [Patch(facecolor=COLORS[kind], label=text) for kind,
               text in MEANING.items()] + [Patch(**BUBBLE, label="bubble")]
    charts.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=10)

    plot = curves.subplots()
    for name, by_micro_batches in bubbles.items():
        shares = [100 * share for share in by_micro_batches.values()]
        plot.plot(list(by_micro_batches), shares, STYLES[name], linewidth=2.5, markersize=8,
                  label=NAMES[name])
    plot.set(xscale="log", ylim=(0, 100))
    plain_ticks(plot.xaxis, next(iter(bubbles.values())))
    plot.set_xlabel("micro-batches", fontsize=13)
    plot.set_ylabel("bubble, % of all time", fontsize=13)
    plot.set_title(f"Waiting, on {ranks} ranks", fontsize=15)
    plot.grid(alpha=0.3)
    plot.legend(fontsize=11)
    return figure
