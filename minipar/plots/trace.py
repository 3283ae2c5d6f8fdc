"""Plots a traced step: the predicted and the measured schedule, and the memory of each rank."""

# pp: the axis of pipeline parallelism

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from minipar.plots.schedule import draw_gantt, legend
from minipar.schedules.simulate import Timeline

COLORS = {"weights": "#0072B2", "gradients": "#56B4E9", "gathered": "#D55E00", "residuals": "#F0E442",
          "optimizer": "#009E73", "activations": "#E69F00", "messages": "#CC79A7"}
KIB = 1 << 10


def draw_timelines(predicted: Timeline, measured: Timeline, title: str, apart: int = 1) -> Figure:
    """Draw both timelines on one time axis, in milliseconds.

    `predicted` and `measured` are in seconds. `apart` is the difference between the world ranks of two
    neighbours in a pipeline.
    """
    ranks, longest = measured.schedule.ranks, 1e3 * float(max(predicted.makespan, measured.makespan))
    width, margins = 14.0, 2.0
    figure = Figure(figsize=(width, 2.2 + 0.72 * ranks), layout="constrained")
    both = (("predicted", predicted), ("measured", measured))
    for axes, (name, timeline) in zip(figure.subplots(2, 1, sharex=True), both, strict=True):
        draw_gantt(axes, timeline, inches=(width - margins) / longest, unit=1e3, apart=apart)
        axes.set(xlim=(0, longest), xlabel="time, ms" if name == "measured" else "")
        axes.set_title(f"{name}: {1e3 * float(timeline.makespan):,.1f} ms, bubble "
                       f"{100 * float(timeline.bubble()):.1f} %", loc="left", fontsize=11)
    title = f"{title}\n{_shown(ranks, apart)}"
    figure.suptitle(title, x=0.01, ha="left", parse_math=False)  # a schedule's name may have a $
    figure.legend(handles=legend(measured.schedule), loc="outside lower center", ncols=5, frameon=False,
                  fontsize=9)
    return figure


def _shown(ranks: int, apart: int) -> str:
    """Describe the world ranks whose timelines are drawn. Example: 2 ranks that are 4 apart are ranks 0 and 4
    of 8.
    """
    if apart == 1:
        return f"all ranks, 0 to {ranks - 1}" if ranks > 1 else "the one rank"
    numbers = [str(rank * apart) for rank in range(ranks)]
    named = f"ranks {', '.join(numbers[:-1])} and {numbers[-1]}" if ranks > 1 else "rank 0"
    return f"shown: {named} of {ranks * apart}, the first pipeline (dp rank 0, tp rank 0)"


def draw_memory(memory: list[dict[str, int]], ledger: list[int], ranks: Sequence[int] = ()) -> Figure:
    """Draw one stacked bar per rank. `memory` holds, for each rank, the bytes of each use of memory. A use
    that no rank has is left out. `ledger` holds the predicted bytes of each rank. `ranks` are the numbers of
    the ranks, by default 0, 1, ... If some ranks are left out, the title says that the drawn ranks are the
    fullest for each rank of pp.
    """
    shown = list(ranks or range(len(memory)))
    figure = Figure(figsize=(max(9.0, 0.9 * len(memory) + 3), 4.6), layout="constrained")
    axes = figure.add_subplot()
    below = [0.0] * len(memory)
    for line in (line for line in memory[0] if any(rank[line] for rank in memory)):
        sizes = [rank[line] / KIB for rank in memory]
        axes.bar(range(len(memory)), sizes, bottom=below, color=COLORS[line], label=line, width=0.7)
        below = [one + other for one, other in zip(below, sizes, strict=True)]
    axes.hlines([total / KIB for total in ledger], [rank - 0.45 for rank in range(len(ledger))],
                [rank + 0.45 for rank in range(len(ledger))], color="black",
                label="predicted, without messages")
    for rank, total in enumerate(below):
        axes.text(rank, total, f"{total:,.0f}", ha="center", va="bottom", fontsize=9)
    axes.set_xticks(range(len(memory)), [str(rank) for rank in shown])
    axes.set(xlabel="rank", ylabel="KiB", ylim=(0, 1.1 * max(below)))
    axes.spines[["top", "right"]].set_visible(False)
    whose = "each rank" if shown == list(range(len(memory))) else "the fullest rank of each rank of pp"
    figure.suptitle(f"memory of {whose}, activations and messages at their peak", x=0.01, ha="left",
                    fontsize=11)
    figure.legend(loc="outside right upper", reverse=True, frameon=False)
    return figure
