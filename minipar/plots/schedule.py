"""Plots a schedule as a Gantt chart: the instructions and the idle times of every rank."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from minipar.schedules.footprint import peak_activations
from minipar.schedules.instruction import Schedule
from minipar.schedules.simulate import Timeline

# Okabe and Ito's colours, which colour-blind readers can distinguish; black numbers are readable on all of
# them.
COLORS = {"F": "#56B4E9", "B": "#E69F00", "W": "#009E73"}
BUBBLE: dict[str, Any] = {"facecolor": "#f2f2f2", "edgecolor": "#c8c8c8", "hatch": "////", "linewidth": 0.0}
HEIGHT = 0.84                            # height of a bar; the distance between neighbouring ranks is 1
DIGIT, MARGINS, WIDEST = 0.07, 1.6, 22.0  # widths in inches: a digit, both margins, the figure


def draw_schedule(timeline: Timeline) -> Figure:
    """Draw the simulated schedule: F, B and W of every micro-batch on each rank. The bubble is hatched.

    If a rank has several stages, the later stages are paler. A bar that is too narrow has no number.
    """
    schedule, makespan = timeline.schedule, float(timeline.makespan)
    shortest = min((float(end - start) for row in zip(timeline.start, timeline.end, strict=True)
                    for start, end in zip(*row, strict=True) if end > start), default=makespan)
    width = min(WIDEST, max(8.0, MARGINS + _room_for_number(schedule) * makespan / shortest))
    figure = Figure(figsize=(width, 1.5 + 0.36 * schedule.ranks), layout="constrained")
    axes = figure.add_subplot()
    draw_gantt(axes, timeline, inches=(width - MARGINS) / makespan)
    axes.set_title(f"{schedule.name}: {schedule.ranks} rank(s), {schedule.micro_batches} micro-batch(es); "
                   f"makespan {makespan:g}, "
                   f"bubble {100 * float(timeline.bubble()):.1f} % of all time", loc="left", parse_math=False)
    axes.text(1.005, 1.0, "peak\nactivations", transform=axes.transAxes, va="bottom", fontsize=8)
    for rank, peak in enumerate(peak_activations(schedule)):
        axes.text(1.005, rank, f"{float(peak):g}", transform=axes.get_yaxis_transform(), va="center",
                  fontsize=9)
    figure.legend(handles=legend(schedule), loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    return figure


def draw_gantt(axes: Axes, timeline: Timeline, inches: float, unit: float = 1.0, apart: int = 1) -> None:
    """Draw only the bars, with rank 0 on top.

    Drawn times are the times of the timeline multiplied by `unit`. `inches` is the width of one drawn unit of
    time. Narrow bars have thin edges and no numbers. `apart` is the difference between the world ranks of
    neighbouring rows.
    """
    schedule, makespan = timeline.schedule, unit * float(timeline.makespan)
    shades, room = _shades(schedule), _room_for_number(schedule)
    for rank, order in enumerate(schedule.orders):
        axes.broken_barh([(0, makespan)], (rank - HEIGHT / 2, HEIGHT), **BUBBLE)
        by_shade: dict[tuple[float, ...], list[tuple[float, float]]] = {}
        for (kind, stage, micro), *times in zip(order, timeline.start[rank], timeline.end[rank], strict=True):
            start, end = (unit * float(time) for time in times)
            by_shade.setdefault(shades[kind, stage], []).append((start, end - start))
            if room <= inches * (end - start):
                axes.text((start + end) / 2, rank, str(micro), ha="center", va="center_baseline", fontsize=8,
                          clip_on=True)
        for shade, bars in by_shade.items():
            # width of an edge in points; at most a seventh of the bar
            seam = min(0.7, 10 * inches * min(duration for _, duration in bars))
            axes.broken_barh(bars, (rank - HEIGHT / 2, HEIGHT), facecolor=shade, edgecolor="white",
                             linewidth=seam)
    axes.set(xlim=(0, makespan), ylim=(schedule.ranks - 0.5, -0.5), xlabel="time")
    named = range(0, schedule.ranks, -(-schedule.ranks // 40))  # at most 40 ranks have a name
    axes.set_yticks(named, [f"rank {apart * rank}" for rank in named])
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _room_for_number(schedule: Schedule) -> float:
    """Return the width in inches of the longest number of a micro-batch."""
    return DIGIT * (len(str(schedule.micro_batches - 1)) + 0.4)


def _shades(schedule: Schedule) -> dict[tuple[str, int], tuple[float, ...]]:
    """Map (kind, stage) to a colour, which is mixed with white for the later stages of a rank."""
    shades = {}
    for rank in range(schedule.ranks):
        stages = schedule.stages_of(rank)
        for number, stage in enumerate(stages):
            white = 0.55 * number / max(1, len(stages) - 1)
            for kind, color in COLORS.items():
                shades[kind, stage] = tuple(white + (1 - white) * channel for channel in to_rgb(color))
    return shades


def legend(schedule: Schedule) -> list[Patch]:
    meaning = {"F": "forward", "B": "backward"}
    if schedule.split:
        meaning |= {"B": "backward: gradient of the input", "W": "gradient of the weights"}
    if schedule.forward_only:
        del meaning["B"]
    handles = [Patch(facecolor=COLORS[kind], label=text) for kind, text in meaning.items()]
    if schedule.stages > schedule.ranks:
        handles.append(Patch(facecolor="none", label="(paler: a rank's later stages)"))
    return [*handles, Patch(**BUBBLE, label="bubble")]
