"""Formats the results of `minipar trace`. Few ranks get one line each. Many ranks are summarised as ranges.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from minipar.config import Layout
from minipar.trace.step import StepTrace
from minipar.trace.totals import RankTotals, axis_messages, spread, stage_ranks

LISTED = 16  # with more ranks than this, ranges are shown instead of one line per rank
STAGES = 32                                     # largest number of lines about pipeline ranks
KIB = 1024

# for each row: its name, a function that returns a rank's value, and the format of the value
ROWS: list[tuple[str, Callable[[RankTotals], float], str]] = [
    ("end of the step, ms", lambda one: 1e3 * one.end, ",.3f"),
    ("computing, ms", lambda one: 1e3 * one.computing, ",.3f"),
    ("sent, KiB", lambda one: one.sent / KIB, ",.0f"),
    ("peak memory, KiB", lambda one: one.memory / KIB, ",.0f"),
    ("overlapped sends, %", lambda one: 100 * abs(one.hidden or 0.0), ".0f"),
]


def rank_lines(trace: StepTrace, totals: Sequence[RankTotals]) -> list[str]:
    """Return lines with the results of all ranks. `totals` comes from `rank_totals`."""
    if len(totals) <= LISTED:
        return [_rank_line(one) for one in totals]
    return [*_spread_lines(totals), *_stage_lines(trace.layout, totals), *_axis_lines(trace)]


def _rank_line(one: RankTotals) -> str:
    hidden = "" if one.hidden is None else f", {100 * abs(one.hidden):.0f} % of it while computing"
    return f"rank {one.rank}: peak memory {one.memory / KIB:,.0f} KiB, sent {one.sent / KIB:,.0f} KiB{hidden}"


def _spread_lines(totals: Sequence[RankTotals]) -> list[str]:
    lines = ["", f"{f'of {len(totals)} ranks':22}{'least (rank)':>20}{'median':>14}{'most (rank)':>20}"]
    for name, value, form in ROWS:
        found = spread(totals, value)
        least, most = f"{found.least:{form}} ({found.least_rank})", f"{found.most:{form}} ({found.most_rank})"
        lines.append(f"{name:22}{least:>20}{format(found.median, form):>14}{most:>20}")
    return lines


def _stage_lines(layout: Layout, totals: Sequence[RankTotals]) -> list[str]:
    """Return one line for each pipeline rank, with the ranges of its values over dp and tp."""
    step = -(-layout.pp // STAGES)
    sampled = "" if step == 1 else f", every {step}th"
    lines = ["", f"{f'rank of pp{sampled}':18}{'ranks':>12}{'computing, ms':>18}{'sent, KiB':>14}"
             f"{'memory, KiB':>16}"]
    for pp_rank in range(0, layout.pp, step):
        ranks = stage_ranks(layout, pp_rank)
        columns = [_range([value(totals[rank]) for rank in ranks], form) for _, value, form in ROWS[1:4]]
        lines.append(f"{pp_rank:<18}{f'{ranks[0]} to {ranks[-1]}':>12}{columns[0]:>18}{columns[1]:>14}"
                     f"{columns[2]:>16}")
    return lines


def _range(values: Sequence[float], form: str) -> str:
    least, most = format(min(values), form), format(max(values), form)
    return least if least == most else f"{least} to {most}"


def _axis_lines(trace: StepTrace) -> list[str]:
    lines = ["", f"{'group':22}{'messages':>20}{'KiB':>14}"]
    for name, (messages, nbytes) in axis_messages(trace.events).items():
        lines.append(f"{name:22}{messages:>20,}{nbytes / KIB:>14,.0f}")
    return lines


def loss_line(losses: Sequence[float], single_process: Sequence[float]) -> str:
    """Return a line that compares two losses of the last step, which is the traced step: the loss of the
    layout and the loss of a single process.
    """
    own, reference = losses[-1], single_process[-1]
    difference = abs(own - reference) / max(abs(reference), 1e-300)
    return f"loss {own:.10g}, of a single process {reference:.10g} (relative difference {difference:.1g})"
