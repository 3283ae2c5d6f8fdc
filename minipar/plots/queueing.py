"""Plots the latency and the throughput of an inference server against the arrival rate and the batch size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from minipar.plots.ticks import plain_ticks

# (colour, marker). Colour-blind readers can distinguish these colours (Okabe and Ito).
STYLES = (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D"), ("#56B4E9", "v"),
          ("#000000", "x"))
PANELS = ("time to first token (s), 95th percentile", "time between tokens (s), 99th percentile",
          "goodput (requests per second)")


def draw_policies(rates: Sequence[float], curves: Mapping[str, Sequence[tuple[float, float, float]]]
                  ) -> Figure:
    """Draw three charts against the arrival rate, with one line per policy (the server's rule for batches):
    time to first token, time between tokens, goodput.

    `rates` are in requests per second. `curves` maps the name of a policy to a list with one tuple per rate.
    A tuple has one value per chart: seconds, seconds, requests per second. In the chart of the goodput, the
    dashed line is the arrival rate. It is the goodput of a server that serves every request in time.
    """
    figure = Figure(figsize=(13, 4), layout="constrained")
    charts = figure.subplots(1, len(PANELS))
    for number, (axes, title) in enumerate(zip(charts, PANELS, strict=True)):
        for (name, points), (color, marker) in zip(curves.items(), STYLES, strict=False):
            axes.plot(rates, [point[number] for point in points], color=color, marker=marker, ms=5,
                      label=name)
        axes.set(xscale="log", xlabel="arrival rate (requests per second)", title=title)
        plain_ticks(axes.xaxis, rates)
        axes.grid(alpha=0.3)
    for axes in charts[:2]:
        axes.set_yscale("log")
        plain_ticks(axes.yaxis)
    charts[2].plot(rates, rates, color="#888888", linestyle="--", linewidth=1)
    charts[2].set_ylim(0, 1.1 * max(point[2] for points in curves.values() for point in points) or 1)
    charts[0].legend(frameon=False)
    return figure


def draw_batch_sizes(sizes: Sequence[int], between: Sequence[float], rates: Sequence[float]) -> Figure:
    """Draw two charts against the batch size: the time between tokens of one text (latency), and the tokens
    per second of all texts together (throughput).
    """
    figure = Figure(figsize=(9, 4), layout="constrained")
    titles = ("time between tokens (ms)", "tokens per second")
    values = ([1e3 * seconds for seconds in between], rates)
    for axes, title, points, (color, marker) in zip(figure.subplots(1, 2), titles, values, STYLES,
                                                    strict=False):
        axes.plot(sizes, points, color=color, marker=marker)
        axes.set(xscale="log", xlabel="batch (texts that run together)", title=title)
        plain_ticks(axes.xaxis, sizes)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    return figure
