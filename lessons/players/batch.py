"""The batch player's runs: the engine serves eight requests, in static batches and by continuous batching."""

from __future__ import annotations

import functools
import html
import itertools
from typing import Any, NamedTuple

import numpy as np

import minipar as mp
from minipar.inference.scheduler import Scheduler
from minipar.inference.sequence import TextSequence

TITLE = "A batch over time"
DOES = (
    "Eight requests arrive. Choose how many run together, and how many tokens one forward pass computes: a "
    "longer prompt is computed in chunks. Step through the passes. Predict first: how many passes does each "
    "way need, and who waits longest for a first token?"
)


class Arrival(NamedTuple):
    """A request. when: the forward pass before which it arrives. prompt: the tokens of its prompt. tokens: those
    that it wants.
    """

    when: int
    prompt: int
    tokens: int


ARRIVALS = (Arrival(0, 3, 5), Arrival(0, 4, 14), Arrival(1, 9, 4), Arrival(2, 3, 6), Arrival(4, 14, 5),
            Arrival(6, 2, 8), Arrival(9, 5, 3), Arrival(12, 3, 6))
BATCHES, ROWS, WAYS = (2, 3, 4), (4, 8, 16), ("static", "continuous")
MODEL = mp.ModelConfig(vocabulary=8, context=32, layers=1, heads=1, width=8)


class WatchedScheduler(Scheduler):
    """planned: for each sequence of the last plan, [request, rows, whether it is decoding]."""

    planned: list[list[int]]

    def plan(self, extra: int = 0) -> dict[TextSequence, int]:
        found = super().plan(extra)
        self.planned = [[one.number, rows, int(one.pending == 1 and one.written > 0)]
                        for one, rows in found.items()]
        return found


@functools.cache
def model() -> mp.GPT:
    return mp.GPT(MODEL, dtype=np.float32)


def run(batch: int, rows: int, way: str) -> list[dict[str, Any]]:
    """Every forward pass. rows: see WatchedScheduler. got: the requests that get a token. finished, waiting:
    requests.

    A static batch takes the requests that have arrived when the batch before has finished. With continuous
    batching, a request enters the engine when it arrives, and the scheduler decides.
    """
    engine = mp.Engine(model(), options=mp.EngineOptions(batch=batch, rows=rows, share_prefixes=False))
    scheduler = engine.scheduler = WatchedScheduler(engine.memory, MODEL.context, batch, rows)
    passes: list[dict[str, Any]] = []
    added = 0
    while added < len(ARRIVALS) or engine.busy:
        arrived = sum(one.when <= len(passes) for one in ARRIVALS)
        if way == "continuous" or not engine.busy:
            last = arrived if way == "continuous" else min(arrived, added + batch)
            for one in ARRIVALS[added:last]:
                engine.add(mp.TextRequest([1] * one.prompt, one.tokens, mp.Sampling(temperature=0)))
            added = last
        tokens = engine.step()
        waiting = [one.number for one in scheduler.waiting] + list(range(added, arrived))
        passes.append({"rows": scheduler.planned, "got": [one.request for one in tokens],
                       "finished": [one.request for one in tokens if one.finished], "waiting": waiting})
    return passes


def first_tokens(passes: list[dict[str, Any]]) -> list[int]:
    """For each request, the passes from its arrival to the end of the pass that gives its first token."""
    return [1 + next(number for number, one in enumerate(passes) if request in one["got"]) - arrival.when
            for request, arrival in enumerate(ARRIVALS)]


@functools.cache
def recorded() -> Any:
    """runs: batch -> rows -> way -> passes, see `run`. arrivals: [when, prompt, tokens]."""
    runs: dict[int, dict[int, Any]] = {}
    for batch, rows in itertools.product(BATCHES, ROWS):
        runs.setdefault(batch, {})[rows] = {way: run(batch, rows, way) for way in WAYS}
    return {"arrivals": ARRIVALS, "batches": BATCHES, "rows": ROWS, "ways": WAYS, "runs": runs}


def plain() -> str:
    """Passes and waiting times of every run."""
    lines = []
    for batch, rows, way in itertools.product(BATCHES, ROWS, WAYS):
        passes = recorded()["runs"][batch][rows][way]
        waits = first_tokens(passes)
        cells = (batch, rows, way, len(passes), f"{sum(waits) / len(waits):g}", max(waits))
        lines.append("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells) + "</tr>")
    heads = "".join(f"<th>{name}</th>" for name in (
        "run together", "tokens per pass", "batching", "passes", "mean passes to the first token", "most"))
    asked = "; ".join(
        f"request {number} arrives before pass {one.when + 1}, has {one.prompt} tokens and wants {one.tokens}"
        for number, one in enumerate(ARRIVALS)
    )
    return (f"<p>{asked[0].upper()}{asked[1:]}.</p>"
            f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table>")
