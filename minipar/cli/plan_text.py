"""Formats the results of `minipar plan` as lines of at most 80 columns, and as values for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minipar.errors import brief
from minipar.plan.advice import Sensitivity
from minipar.plan.amounts import bytes_text
from minipar.plan.counts import parameter_count
from minipar.plan.search import PlanOutcome, Task, refusals

TERMS = {
    "compute": "compute",
    "tensor": "messages along tp",
    "pipeline": "messages along pp",
    "bubble": "bubble",
    "data": "gradients over dp",
    "gathers": "ZeRO's gathers",
    "optimizer": "optimiser",
    "offload": "offload",
}


def seconds_text(seconds: float) -> str:
    """Format a time with three digits and a unit."""
    units = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6))
    unit, size = next((each for each in units if seconds >= each[1]), units[-1])
    return f"{seconds / size:.3g} {unit}"


def summary(
    task: Task,
    ranks: int,
    outcomes: Sequence[PlanOutcome],
    top: Sequence[PlanOutcome],
    changes: Sequence[Sensitivity],
) -> list[str]:
    """Return lines about a search: the best layouts, the limits of the first one, and the effects of changes
    of the machine.
    """
    refused = refusals(outcomes)
    able = len(outcomes) - sum(refused.values())
    reasons = ", ".join(f"{count:,} by {limit}" for limit, count in refused.items())
    lines = [
        f"{parameter_count(task.model) / 1e9:.3g} billion parameters, batch {task.train.batch}, {ranks:,} "
        f"ranks of {brief(task.machine.name)[:40]}",
        f"{len(outcomes):,} layouts: {able:,} fit" + (f"; refused: {reasons}" if reasons else ""),
        "",
        f"{'':3}{'time':>9} {'MFU':>5} {'memory':>9} {'sent':>9}  layout",
    ]
    for number, one in enumerate(top, 1):
        memory = one.memory.total if one.memory else 0.0
        sent = one.sent.total if one.sent else 0.0
        lines.append(
            f"{number:2} {seconds_text(one.seconds):>9} {100 * one.mfu:4.1f}% {bytes_text(memory):>9} "
            f"{bytes_text(sent):>9}  {_short(one)}"
        )
    return [
        *lines,
        "",
        "The first one:",
        *_terms(top[0]),
        *_limits(task, top[0]),
        "",
        "If the machine is different:",
        *map(_change, changes),
    ]


def _short(one: PlanOutcome) -> str:
    words = one.candidate.text().replace("recompute=", "").split(",")
    return " ".join(words)


def _terms(one: PlanOutcome) -> list[str]:
    if one.times is None:
        return []
    total = one.seconds
    return [
        f"  {TERMS[name]:20}{seconds_text(seconds):>10} {100 * seconds / total:5.1f} %  "
        f"{'#' * round(40 * seconds / total)}"
        for name, seconds in one.times.terms().items()
        if seconds
    ]


def _limits(task: Task, one: PlanOutcome) -> list[str]:
    if one.times is None or one.memory is None:
        return []
    lines = one.memory.lines()
    largest = max(lines, key=lines.__getitem__)
    limit = one.times.largest()
    return [
        f"  limited by {TERMS[limit]} after compute; {bytes_text(one.memory.total)} of "
        f"{bytes_text(task.machine.usable)} are full,",
        f"  most of it {largest} ({bytes_text(lines[largest])}), on pp rank {one.memory.pp_rank}",
    ]


def _change(one: Sensitivity) -> str:
    effect = "it does not fit" if one.same == float("inf") else f"{100 * (one.same - 1):+.1f} % time"
    if one.gain > 0.999:
        return f"  {one.change:26}{effect}, still the best"
    return f"  {one.change:26}{effect}; better: {one.choice.text()}"


def comparison(task: Task, first: PlanOutcome, second: PlanOutcome) -> list[str]:
    """Return lines that compare two layouts term by term."""
    lines = [
        f"A  {first.candidate.text()}",
        f"B  {second.candidate.text()}",
        "",
        f"{'':22}{'A':>12}{'B':>12}{'B / A':>9}",
    ]
    if first.times and second.times and first.memory and second.memory and first.sent and second.sent:
        pairs = first.times.terms(), second.times.terms()
        rows = [
            (
                TERMS[name],
                seconds_text(pairs[0][name]),
                seconds_text(pairs[1][name]),
                pairs[0][name],
                pairs[1][name],
            )
            for name in TERMS
        ]
        rows += [
            (
                "a step",
                seconds_text(first.seconds),
                seconds_text(second.seconds),
                first.seconds,
                second.seconds,
            )
        ]
        for text, a, b in (
            ("memory", first.memory.total, second.memory.total),
            ("sent", first.sent.total, second.sent.total),
        ):
            rows.append((text, bytes_text(a), bytes_text(b), a, b))
        lines += [
            f"{text:22}{a:>12}{b:>12}" + (f"{number_b / number_a:9.2f}" if number_a else "")
            for text, a, b, number_a, number_b in rows
            if number_a or number_b
        ]
        lines.append(f"{'MFU':22}{100 * first.mfu:10.1f} %{100 * second.mfu:10.1f} %")
    for name, one in (("A", first), ("B", second)):
        if one.refusal:
            lines.append(f"{name} does not fit: {one.refusal}")
    return lines


def outcome_values(one: PlanOutcome) -> dict[str, Any]:
    """Return one outcome as values for JSON: seconds, bytes, fractions."""
    values: dict[str, Any] = {"layout": one.candidate.text(), "refusal": one.refusal}
    if one.times and one.memory and one.sent:
        values |= {
            "seconds": one.seconds,
            "mfu": one.mfu,
            "terms": one.times.terms(),
            "memory_bytes": one.memory.total,
            "memory": one.memory.lines(),
            "sent_bytes": one.sent._asdict(),
        }
    return values
