"""The schedule player computes by itself (js/orders.js, js/simulate.js), so there is nothing to record."""

from __future__ import annotations

import html

import minipar as mp
from minipar.schedules.gantt import gantt

TITLE = "Pipeline schedules"
DOES = (
    "Choose a schedule, ranks, micro-batches, and the times of forward (F), of the gradient of the input (B), of "
    "the gradients of the weights (W), and of a message. Predict the bubble, then look."
)


def recorded() -> None:
    return None


def plain() -> str:
    parts = []
    for name in ("gpipe", "1f1b", "zb-h1"):
        timeline = mp.simulate(mp.schedule(name, 4, 8))
        drawn = html.escape("\n".join(gantt(timeline, 76)))
        parts.append(
            f"<p>{name} on 4 ranks with 8 micro-batches, F = B = W = 1: a bubble of {timeline.bubble()}.</p>"
            f"<pre>{drawn}</pre>"
        )
    return "".join(parts)
