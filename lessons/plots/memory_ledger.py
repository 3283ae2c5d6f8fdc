"""The memory ledger as bars, a technique per bar; and how the state of a training is shared out over
ranks.
"""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from minipar.plan.memory import MemoryLedger
from minipar.plots.ticks import plain_ticks

LINES = {"weights": "#0072b2", "gradients": "#56b4e9", "optimizer": "#999999", "activations": "#d55e00"}
STYLES = ["o-", "s--", "^-.", "D:"]


def draw_memory_ledger(techniques: Mapping[str, MemoryLedger], device: float,
                       shares: Mapping[str, Mapping[int, float]]) -> Figure:
    """techniques: bytes by line, from top to bottom; device: how many bytes it has.
    shares: technique -> ranks -> bytes of state on each.
    """
    figure = Figure(figsize=(13, 5.6), layout="constrained")
    bars, curves = figure.subplots(1, 2, width_ratios=(3, 2))
    names, left = list(techniques), dict.fromkeys(techniques, 0.0)
    for line, color in LINES.items():
        widths = [getattr(memory, line) / 1e9 for memory in techniques.values()]
        bars.barh(names, widths, left=list(left.values()), color=color, label=line)
        left = {name: start + width for (name, start), width in zip(left.items(), widths, strict=True)}
    for name, end in left.items():
        bars.annotate(f"{end:.3g} GB", (end, name), (6, 0), textcoords="offset points", va="center",
                      fontsize=14, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1}, zorder=3)
    bars.axvline(device / 1e9, color="black", linestyle="--", label=f"a device of {device / 1e9:g} GB")
    bars.invert_yaxis()
    bars.set_xlim(right=1.2 * max(left.values()))
    bars.set_xlabel("GB on one device", fontsize=15)
    bars.set_title("Each technique shrinks its own lines", fontsize=18)
    bars.legend(fontsize=14, loc="lower right")

    for style, color, (name, by_ranks) in zip(STYLES, LINES.values(), shares.items(), strict=True):
        curves.plot(list(by_ranks), [value / 1e9 for value in by_ranks.values()], style, color=color,
                    linewidth=3, markersize=8, label=name)
    curves.set(xscale="log", yscale="log")
    plain_ticks(curves.xaxis, next(iter(shares.values())))
    plain_ticks(curves.yaxis)
    curves.set_xlabel("ranks", fontsize=15)
    curves.set_ylabel("GB of state on each rank", fontsize=15)
    curves.set_title("ZeRO shards the state", fontsize=18)
    curves.grid(alpha=0.3)
    for axes in (bars, curves):
        axes.tick_params(labelsize=14)
    curves.legend(fontsize=14)
    return figure
