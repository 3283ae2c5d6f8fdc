"""Draws a schedule's Gantt chart as text, with one line per rank and time from left to right.

If there is enough room, the length of each instruction shows its time, and dots show idle time:

    rank 0  F0 F1 ......B0--- F2 ...
    rank 1  ...F0 B0--- F1 B1--- ...

Otherwise each column stands for a short time, and shows the instruction in the middle of this time: F, B, W,
or a dot for idle time.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from string import ascii_lowercase

from minipar.records import Number
from minipar.schedules.instruction import Instruction, Schedule
from minipar.schedules.simulate import Timeline

IDLE = "."
Bar = tuple[Instruction, Number, Number]                             # instruction, start, end


def gantt(timeline: Timeline, width: int) -> list[str]:
    """Returns the lines of the chart. A line has at most `width` characters. For a very small width, the
    chart still has 8 columns beside the ranks' names.
    """
    schedule, makespan = timeline.schedule, timeline.makespan
    heads = [f"rank {rank}".ljust(len(f"rank {schedule.ranks - 1}") + 2) for rank in range(schedule.ranks)]
    room, names = max(8, width - len(heads[0])), stage_names(schedule)
    rows = [_bars(timeline, rank) for rank in range(schedule.ranks)]
    scale = max((_columns_per_time(bar, names) for bars in rows for bar in bars), default=1)
    if makespan * scale <= room:
        lines = [_written_out(bars, names, makespan, scale) for bars in rows]
    else:
        columns = room // makespan * makespan or room  # whole columns per unit of time, if there is room
        lines = [_sampled(bars, float(makespan), int(columns)) for bars in rows]
    end = f"{float(makespan):g}"
    ruler = "time".ljust(len(heads[0])) + "0" + end.rjust(max(len(end) + 1, len(lines[0]) - 1))
    return [*((head + line).rstrip() for head, line in zip(heads, lines, strict=True)), ruler]


def stage_names(schedule: Schedule) -> list[str]:
    """Returns the suffix of each stage in the chart. It is "", or "a", "b", ... if the rank has several
    stages.
    """
    names = [""] * schedule.stages
    for rank in range(schedule.ranks):
        stages = schedule.stages_of(rank)
        for stage, letter in zip(stages, ascii_lowercase, strict=False):
            names[stage] = letter if len(stages) > 1 else ""
        for stage in stages[len(ascii_lowercase):]:
            names[stage] = f"@{stage}"
    return names


def _bars(timeline: Timeline, rank: int) -> list[Bar]:
    """Returns the instructions of a rank whose time is not zero."""
    bars = zip(timeline.schedule.orders[rank], timeline.start[rank], timeline.end[rank], strict=True)
    return [bar for bar in bars if bar[1] < bar[2]]


def _label(instruction: Instruction, names: list[str]) -> str:
    return f"{instruction.kind}{instruction.micro}{names[instruction.stage]}"


def _columns_per_time(bar: Bar, names: list[str]) -> int:
    """Returns the number of columns per unit of time that an instruction needs for its label and a space."""
    instruction, start, end = bar
    return math.ceil((len(_label(instruction, names)) + 1) / (end - start))


def _written_out(bars: list[Bar], names: list[str], makespan: Number, scale: int) -> str:
    line = ""
    for instruction, start, end in bars:
        line = line.ljust(round(start * scale), IDLE)
        line += (_label(instruction, names).ljust(round(end * scale) - len(line) - 1,
                                                  "-") + " ")[:round(end * scale) - len(line)]
    return line.ljust(round(makespan * scale), IDLE)


def _sampled(bars: list[Bar], makespan: float, columns: int) -> str:
    starts, line = [start for _, start, _ in bars], ""
    for column in range(columns):
        time = (column + 0.5) * makespan / columns
        at = bisect_right(starts, time) - 1
        line += bars[at][0].kind if at >= 0 and time < bars[at][2] else IDLE
    return line
