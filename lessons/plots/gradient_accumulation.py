"""What accumulation saves, and what a sum in place of a mean does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from minipar.plots.ticks import plain_ticks

FARTHEST = 1e6  # where a run that diverges leaves the picture


def draw_gradient_accumulation(activations: Mapping[int, int], predicted: Mapping[int, int], gradient: int,
                               distances: Mapping[str, Sequence[float]]) -> Figure:
    """activations: pieces -> bytes measured; predicted: the same by formula; gradient: bytes of its buffer.
    distances: from the minimum, by step.
    """
    figure = Figure(figsize=(12, 5), layout="constrained")
    memory, descent = figure.subplots(1, 2)
    memory.plot(list(predicted), [value / 1e3 for value in predicted.values()], color="tab:red",
                label="activations, formula")
    memory.plot(list(activations), [value / 1e3 for value in activations.values()], "o", color="tab:red",
                markersize=10, label="activations, measured")
    memory.axhline(gradient / 1e3, color="tab:orange", linewidth=3, label="gradient buffer")
    memory.set(xscale="log", yscale="log")
    plain_ticks(memory.xaxis, activations)
    plain_ticks(memory.yaxis)
    memory.set_xlabel("pieces k that the batch is cut into", fontsize=13)
    memory.set_ylabel("KB alive", fontsize=13)
    memory.set_title("Activations shrink, the gradient does not", fontsize=15)

    for (name, values), color in zip(distances.items(), ("tab:blue", "tab:red"), strict=True):
        inside = [value for value in values if value < FARTHEST]
        descent.plot(range(1, len(inside) + 1), inside, color=color, linewidth=3, label=name)
        if len(inside) < len(values):
            descent.annotate(f"{values[-1]:.0e} after {len(values)} steps", (len(inside), inside[-1]),
                             (10, -14), textcoords="offset points", color=color, fontsize=13)
    descent.set(yscale="log", ylim=(1e-3, FARTHEST))
    descent.set_xlabel("step", fontsize=13)
    descent.set_ylabel("distance from the minimum", fontsize=13)
    descent.set_title("SGD, rate 0.5, four pieces", fontsize=15)
    for axes in (memory, descent):
        axes.grid(alpha=0.3)
        axes.tick_params(labelsize=12)
        axes.legend(fontsize=12)
    return figure
