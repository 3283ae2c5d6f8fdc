"""The asynchronous player's runs: a parameter server and four workers on threads, in virtual time."""

from __future__ import annotations

import functools
import html
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

import minipar as mp
from minipar.asynchronous.parameter_server import Applied, ServerOptions, train_with_server

TITLE = "Asynchronous updates on a time line"
DOES = (
    "One server holds the weight, four workers compute gradients. Choose the speed of the workers and who "
    "waits, and step through the updates. A gradient takes 1 s, that of a slow worker 4 s. A number on a bar "
    "is its staleness. Predict first: how old is the oldest gradient, and how long do the workers wait?"
)

WORKERS, STEPS, START = 4, 6, 1.0
SPEEDS: dict[str, tuple[str, Callable[[int, int], float]]] = {      # name -> (text, seconds)
    "equal": ("all equal", lambda worker, step: 1.0),
    "slow": ("worker 0 is slow", lambda worker, step: 4.0 if worker == 0 else 1.0),
    "steps": ("1, 2, 3 and 4 s", lambda worker, step: 1.0 + worker),
    "uneven": ("changing", lambda worker, step: 1.0 + (3 * worker + 5 * step) % 4),
}
MODES: dict[str, tuple[str, dict[str, Any]]] = {                    # name -> (text, options of the server)
    "asynchronous": ("nobody waits", {}),
    "bound 2": ("at most 2 steps ahead", {"bound": 2}),
    "bound 0": ("at most 0 steps ahead", {"bound": 0}),
    "synchronous": ("all wait", {"synchronous": True}),
}
RATES = (0.1, 0.4, 0.7)


def run(speed: str, mode: str) -> tuple[list[Applied], list[list[float]]]:
    """The applied gradients in their order, and the weight of each rate after each update.

    The three rates are three weights of one training. The loss of each is weight**2 / 2, so they do not mix.
    """
    after: list[list[float]] = []

    def descend(weights: np.ndarray, gradient: np.ndarray, staleness: int) -> None:
        weights -= np.array(RATES) * gradient
        after.append(weights.tolist())

    options = ServerOptions(STEPS, seconds=SPEEDS[speed][1], **MODES[mode][1])
    applied = mp.run(1 + WORKERS, lambda comm: train_with_server(
        comm, np.full(len(RATES), START), lambda worker, step, weights: weights, descend, options))[0][1]
    return applied, after


def gradients(applied: list[Applied], speed: str, mode: str) -> list[list[float]]:
    """Each applied gradient as [worker, step, pull, push, applied, update, staleness].

    pull, push, applied: the seconds at which the worker gets the weights, at which it has the gradient, and at
    which the server applies the gradient. update: the number of this update, from 1.
    """
    rows = []
    for number, (time, worker, step, staleness) in enumerate(applied):
        seconds = SPEEDS[speed][1](worker, step)
        if mode == "synchronous":                                   # all pull when the update before is there
            pull = applied[number - WORKERS].time if number >= WORKERS else 0.0
            rows.append([worker, step, pull, pull + seconds, time, 1 + number // WORKERS, staleness])
        else:
            rows.append([worker, step, time - seconds, time, time, 1 + number, staleness])
    return rows


@functools.cache
def recorded() -> Any:
    """runs: speed -> mode -> gradients: see `gradients`; weights: after each update, one for each rate."""
    runs: dict[str, Any] = {}
    for speed, mode in itertools.product(SPEEDS, MODES):
        applied, weights = run(speed, mode)
        runs.setdefault(speed, {})[mode] = {"gradients": gradients(applied, speed, mode), "weights": weights}
    return {"workers": WORKERS, "start": START, "rates": RATES, "runs": runs,
            "speeds": {name: text for name, (text, _) in SPEEDS.items()},
            "modes": {name: text for name, (text, _) in MODES.items()}}


def plain() -> str:
    """The end, the staleness and the last weights of every run."""
    rows = []
    for (speed, (fast, _)), (mode, (waits, _)) in itertools.product(SPEEDS.items(), MODES.items()):
        ran = recorded()["runs"][speed][mode]
        ages = [one[6] for one in ran["gradients"]]
        cells = (html.escape(fast), html.escape(waits), f"{ran['gradients'][-1][4]:g} s", max(ages),
                 f"{sum(ages) / len(ages):.2g}", *(f"{abs(weight):.2g}" for weight in ran["weights"][-1]))
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    heads = "".join(f"<th>{name}</th>" for name in (
        "workers", "who waits", "end", "oldest gradient", "mean staleness",
        *(f"rate {rate}" for rate in RATES)))
    return (
        f"<p>{WORKERS} workers compute {STEPS} gradients each. Staleness is counted in updates. The last columns "
        f"are the distance to the minimum at the end, from a start at {START:g}.</p>"
        f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )
