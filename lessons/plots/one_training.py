"""One training in many layouts: the curves lie on each other, and a logarithmic axis shows how closely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure


def draw_one_training(losses: Mapping[str, Sequence[float]],
                      gradients: Mapping[str, Sequence[float]]) -> Figure:
    """Three panels: the curves, how far they are apart, and how far the gradients are.

    losses: layout -> training loss per step in nats per token, the first layout being the reference.
    gradients: layout -> for each parameter the largest difference of its gradient from the reference's,
    relative to the largest element.
    """
    figure = Figure(figsize=(11, 4), layout="constrained")
    curves, apart, proof = figure.subplots(1, 3)
    reference, *others = losses
    for number, (name, values) in enumerate(losses.items()):
        width = 0.8 + 1.2 * (len(losses) - 1 - number)  # the first is the widest, so that all can be seen
        curves.plot(values, linewidth=width, label=name, alpha=0.9, solid_capstyle="round")
    curves.set(title="Training loss, float32", xlabel="step", ylabel="nats per token")
    curves.legend()
    for number, name in enumerate(others, start=1):
        difference = np.abs(np.subtract(losses[name], losses[reference]))
        apart.semilogy(np.maximum(difference, 1e-9), color=f"C{number}", linewidth=1, label=name)
    apart.set(title=f"Distance from {reference}, float32", xlabel="step", ylabel="nats per token")
    for number, (name, values) in enumerate(gradients.items(), start=1):
        proof.semilogy(np.maximum(values, 1e-17), ".", color=f"C{number}", label=name)
    proof.axhline(1e-12, color="black", linewidth=0.8, linestyle="--")
    proof.text(0, 1.3e-12, "what verify allows", fontsize=8)
    proof.set(title="Every gradient, float64", xlabel="parameter", ylabel="largest relative difference",
              ylim=(5e-18, 1e-11))
    for axes in (curves, apart, proof):
        axes.grid(alpha=0.3)
    return figure
