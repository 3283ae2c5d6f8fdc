"""Plots the loss over the training steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

from matplotlib.figure import Figure


def draw_loss(metrics: Iterable[Mapping[str, float]]) -> Figure:
    """Draw the training loss of every step, its running mean, and the validation loss, in nats per token.

    `metrics` holds lines with "step" and "loss" or "validation", as in metrics.jsonl.
    """
    lines = list(metrics)
    training = [(line["step"], line["loss"]) for line in lines if "loss" in line]
    validation = [(line["step"] + 1, line["validation"]) for line in lines if "validation" in line]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    if training:
        steps, losses = zip(*training, strict=True)
        axes.plot(steps, losses, color="tab:blue", alpha=0.25, linewidth=0.8, label="training, each step")
        axes.plot(steps, running_mean(losses), color="tab:blue", label="training, running mean")
    if validation:
        steps, losses = zip(*validation, strict=True)
        axes.plot(steps, losses, "o-", color="tab:orange", label="validation")
        axes.annotate(f"{losses[-1]:.3f}", (steps[-1], losses[-1]), textcoords="offset points",
                      xytext=(0, 10), ha="center", bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})
    axes.set(xlabel="step", ylabel="loss (nats per token)")
    axes.grid(alpha=0.3)
    if lines:
        axes.legend()
    return figure


def running_mean(values: Sequence[float], half: int = 15) -> list[float]:
    """Return the running mean of the values. Each mean is over a window: the value itself, the `half` values
    before it, and the `half` values after it. Near the ends the window is shorter, but the value is still in
    its middle. Example for half = 1: 1 2 6 gives 1 3 6.
    """
    sums = [0.0, *accumulate(values)]
    reach = [min(half, at, len(values) - 1 - at) for at in range(len(values))]
    return [(sums[at + n + 1] - sums[at - n]) / (2 * n + 1) for at, n in enumerate(reach)]
