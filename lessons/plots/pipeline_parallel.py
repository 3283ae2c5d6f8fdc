"""Schedules of a pipeline below one another on one axis of time, and how their bubbles shrink with more
micro-batches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from minipar.lessons.plots.style import LINES, one_chart

from minipar.plots.schedule import BUBBLE, COLORS, draw_gantt
from minipar.plots.ticks import plain_ticks
from minipar.schedules.footprint import peak_activations
from minipar.schedules.simulate import Timeline

NAMES = {"naive": "layer parallel", "gpipe": "GPipe", "1f1b": "1F1B", "zb-h1": "ZB-H1",
         "interleaved": "interleaved, 2 stages each"}
STYLES = {"naive": "s-", "gpipe": "o-", "1f1b": "x--", "zb-h1": "^-", "interleaved": "v-"}
MEANING = {"F": "forward", "B": "backward (ZB-H1: gradient of the input)", "W": "gradient of the weights"}
WIDTH, BARS = 13.0, 11.0  # inches: of the picture, of the longest chart's bars


def draw_schedules(timelines: Sequence[Timeline]) -> Figure:
    """timelines: of the schedules, from top to bottom. The first, layer parallel, has an axis of its own; all others
    share one.
    """
    ranks, others = timelines[0].schedule.ranks, timelines[1:]
    figure = Figure(figsize=(WIDTH, 2.6 + len(timelines) * (0.9 + 0.3 * ranks)), layout="constrained")
    figure.suptitle("Layer parallel waits; a pipeline keeps ranks busy", fontsize=24)
    charts = figure.subplots(len(timelines), 1)
    together = max(float(timeline.makespan) for timeline in others)
    for axes, timeline in zip(charts, timelines, strict=True):
        longest = float(timeline.makespan) if timeline is timelines[0] else together
        draw_gantt(axes, timeline, inches=BARS / longest)
        axes.set(xlim=(0, longest), xlabel="")
        peaks = ", ".join(map(str, peak_activations(timeline.schedule)))
        axes.set_title(f"{NAMES[timeline.schedule.name]}: time {float(timeline.makespan):g}, bubble "
                       f"{100 * float(timeline.bubble()):.0f} %, activations of {peaks} micro-batches",
                       loc="left", fontsize=18)
        _readable(axes)
    charts[0].set_xlabel("its own time: this axis is longer", fontsize=15)
    charts[-1].set_xlabel("time (one forward takes 1)", fontsize=15)
    handles = [Patch(facecolor=COLORS[kind], label=text) for kind, text in MEANING.items()]
    figure.legend(handles=[*handles, Patch(**BUBBLE, label="bubble")], loc="outside lower center", ncols=2, frameon=False,
                  fontsize=15)
    return figure


def draw_executed(timeline: Timeline) -> Figure:
    """timeline: of an executed step of 1F1B, in seconds by a virtual clock."""
    figure = Figure(figsize=(WIDTH, 2.6 + 0.7 * timeline.schedule.ranks), layout="constrained")
    axes, longest = figure.subplots(), 1e3 * float(timeline.makespan)
    draw_gantt(axes, timeline, inches=BARS / longest, unit=1e3)
    _readable(axes)
    axes.set_title("The last stage has the head as well; the others wait", fontsize=22)
    axes.set_xlabel("ms, executed, virtual clock", fontsize=18)
    return figure


def draw_bubbles(bubbles: Mapping[str, Mapping[int, float]], ranks: int) -> Figure:
    """bubbles: schedule -> micro-batches -> share of all time, on so many ranks."""
    figure, plot = one_chart(
        "More micro-batches, less waiting", "micro-batches", f"bubble on {ranks} ranks, %"
    )
    for (name, by_micro_batches), color in zip(bubbles.items(), LINES, strict=True):
        shares = [100 * share for share in by_micro_batches.values()]
        plot.plot(list(by_micro_batches), shares, STYLES[name], linewidth=4, markersize=12, color=color, label=NAMES[name])
    plot.set(xscale="log", ylim=(0, 100))
    plain_ticks(plot.xaxis, next(iter(bubbles.values())))
    plot.legend(fontsize=15)
    return figure


def _readable(axes: Axes) -> None:
    axes.tick_params(labelsize=15)
    for number in axes.texts:
        number.set_fontsize(14)
