"""Plots messages and waits: one row per rank, one arrow per message."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from minipar.comm.wrappers.timeline import Event

COLORS = {"recv": "#E69F00", "wait": "#CC79A7", "send": "#0072B2"}
ARROWS = 400                                    # largest number of arrows; more would hide the rows


def draw_messages(events: Sequence[Event]) -> Figure:
    """Draw the plot. `events` are the events of all ranks, in seconds. A bar shows the time, in ms, in which
    a rank waits for a receive or a send.
    """
    ranks = 1 + max((event.rank for event in events), default=0)
    start = min((float(event.begin) for event in events), default=0.0)
    figure = Figure(figsize=(12, 1.6 + 0.7 * ranks), layout="constrained")
    axes = figure.add_subplot()
    for kind, color in COLORS.items():
        shown = [event for event in events if event.kind == kind and event.track == "program"]
        axes.barh([event.rank for event in shown], [1e3 * float(event.duration) for event in shown],
                  left=[1e3 * (float(event.begin) - start) for event in shown], color=color, height=0.5,
                  label=kind)
    sent = {event.flow: event for event in events if event.kind == "send" and event.flow}
    pairs = [(sent[event.flow], event) for event in events if event.kind == "recv" and event.flow in sent]
    for one, other in pairs[:ARROWS]:
        axes.annotate("", xy=(1e3 * (float(other.end) - start), other.rank),
                      xytext=(1e3 * (float(one.begin) - start), one.rank),
                      arrowprops={"arrowstyle": "->", "color": "0.35", "linewidth": 0.8})
    axes.set(yticks=range(ranks), yticklabels=[f"rank {rank}" for rank in range(ranks)],
             xlabel="time, ms", ylim=(ranks - 0.5, -0.5))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper right", ncols=3, frameon=False)
    more = f"; arrows of the first {ARROWS}" if len(pairs) > ARROWS else ""
    axes.set_title(f"{len(pairs)} messages received{more}", loc="left", fontsize=11)
    return figure
