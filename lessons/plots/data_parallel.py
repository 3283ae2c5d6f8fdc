"""Data parallelism in four pictures: the same training, what it sends, when it pays, how to hide it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from minipar.plots.ticks import plain_ticks


def draw_data_parallel(losses: Mapping[str, Sequence[float]], floor: float,
                       traffic: Mapping[str, Mapping[int, float]],
                       counted: Mapping[str, tuple[int, float]], steps: Mapping[str, Mapping[int, float]],
                       buckets: Mapping[int, float], bound: float) -> Figure:
    """losses: by layout, in nats per token, one per step; floor: the best possible one. traffic: by
    algorithm, ranks -> what the busiest rank sends, in units of the gradient; counted: by algorithm, (ranks,
    the same). steps: by network, ranks -> milliseconds. buckets: number of buckets -> milliseconds; bound:
    the least that can be.
    """
    figure = Figure(figsize=(14, 9), layout="constrained")
    (curves, sent), (scaling, overlap) = figure.subplots(2, 2)
    for number, (name, values) in enumerate(losses.items()):
        curves.plot(values, linewidth=8 / 2**number, label=name)  # the widest first, so that all can be seen
    curves.axhline(floor, color="gray", linestyle=":", linewidth=2.5, label="best possible mean")
    curves.set(title="One batch, shared by more and more ranks", xlabel="step",
               ylabel="loss (nats per token)")

    for name, by_ranks in traffic.items():
        (line,) = sent.plot(list(by_ranks), list(by_ranks.values()), linewidth=2.5, label=f"{name}, formula")
        sent.plot(*counted[name], "o", markersize=10, color=line.get_color(), label=f"{name}, counted")
    sent.set(title="What the busiest rank sends", xlabel="ranks", ylabel="times the gradient")

    for name, by_ranks in steps.items():
        scaling.plot(list(by_ranks), list(by_ranks.values()), "o-", linewidth=2.5, markersize=8, label=name)
    ranks = list(next(iter(steps.values())))
    alone = next(iter(steps.values()))[ranks[0]]
    scaling.plot(ranks, [alone / rank for rank in ranks], color="gray", linestyle=":", linewidth=2.5,
                 label="without communication")
    scaling.set(title="One step of the same batch", xlabel="ranks", ylabel="milliseconds", xscale="log",
                yscale="log")
    plain_ticks(scaling.xaxis, ranks)
    plain_ticks(scaling.yaxis)

    overlap.plot(list(buckets), list(buckets.values()), "o-", linewidth=2.5, markersize=8,
                 label="backward and all-reduce")
    overlap.axhline(bound, color="gray", linestyle=":", linewidth=2.5, label="the longer of the two alone")
    overlap.set(title="Gradients that travel during backward", xlabel="buckets", ylabel="milliseconds",
                xscale="log")
    overlap.set_ylim(bottom=0)
    plain_ticks(overlap.xaxis, buckets)
    for axes in (curves, sent, scaling, overlap):
        axes.title.set_fontsize(16)
        axes.xaxis.label.set_fontsize(14)
        axes.yaxis.label.set_fontsize(14)
        axes.tick_params(labelsize=12)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=13)
    return figure
