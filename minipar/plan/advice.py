"""Gives advice about a plan: which properties of the machine limit the plan, and which change helps if no
layout fits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from minipar.config import LARGEST
from minipar.errors import ConfigError, LayoutError
from minipar.plan.amounts import bytes_text
from minipar.plan.machine import Link, Machine
from minipar.plan.search import MOST, Candidate, PlanOutcome, Task, best, candidates, evaluate

FIELD = 48  # number of outcomes that are evaluated again on a changed machine
# `_suitable` tries numbers of ranks that differ by less than NEAR. `_enough_ranks` divides a range of numbers
# into about TRIED parts.
NEAR, TRIED = 33, 32


class Sensitivity(NamedTuple):
    """Describes the effect of a change of the machine on the plan. change: describes the change. same: the
    new time of the old best layout, divided by its old time. choice: the best layout on the changed machine.
    gain: the time of `choice` divided by the new time of the old best layout.
    """

    change: str
    same: float
    choice: Candidate
    gain: float


def _faster(link: Link, factor: float) -> Link:
    return replace(link, bandwidth=link.bandwidth * factor)


CHANGES: dict[str, Callable[[Machine], Machine]] = {
    "rate -20 %": lambda machine: replace(machine, rate=0.8 * machine.rate),
    "launch overhead x 2": lambda machine: replace(machine, launch=2 * machine.launch),
    "memory rate -20 %": lambda machine: replace(machine, memory_rate=0.8 * machine.memory_rate),
    "links within a node / 2": lambda machine: replace(machine, within=_faster(machine.within, 0.5)),
    "links between nodes / 2": lambda machine: replace(machine, between=_faster(machine.between, 0.5)),
    "memory -10 %": lambda machine: replace(machine, reserve=machine.reserve + 0.1 * machine.memory),
}


def changed_machines(machine: Machine) -> dict[str, Machine]:
    """Returns a dict: description of a change -> the changed machine. A change that makes a value of the
    machine invalid is left out.
    """
    found = {}
    for change, make in CHANGES.items():
        try:
            found[change] = make(machine)
        except ConfigError:
            continue
    return found


def sensitivities(task: Task, outcomes: Sequence[PlanOutcome], objective: str = "time") -> list[Sensitivity]:
    """Evaluates the best outcomes on each changed machine. Only the FIELD best outcomes are evaluated."""
    field = best(outcomes, objective, FIELD)
    found = []
    for change, machine in changed_machines(task.machine).items():
        again = [evaluate(task._replace(machine=machine), outcome.candidate) for outcome in field]
        winner = next(iter(best(again, objective, 1)), again[0])
        same = again[0].seconds if not again[0].refusal else float("inf")
        found.append(Sensitivity(change, same / field[0].seconds, winner.candidate, winner.seconds / same))
    return found


def smallest(task: Task, ranks: int) -> PlanOutcome | None:
    """Returns the outcome that needs the least memory, or None if no layout is possible."""
    thrifty = (
        one
        for one in candidates(task, ranks)
        if one.recompute == "full" and one.micro == 1 and one.layout.zero in (0, 3) and not one.layout.virtual
    )
    able = [outcome for one in thrifty if (outcome := evaluate(task, one)).memory is not None]
    return min(able, key=lambda outcome: outcome.memory.total if outcome.memory else 0.0, default=None)


def no_layout_fits(task: Task, ranks: int) -> LayoutError:
    """Returns the error for a search in which no layout fits. Its message names the limit and the smallest
    change that helps.

    The facts of the error are the limit (`item`) and the change (`ranks`, `batch`, `offload` or `context`).
    """
    least = smallest(task, ranks)
    if least is None or least.memory is None:
        remedy = _suitable(task, ranks)
        return LayoutError(
            f"no layout of {ranks} ranks suits a batch of {task.train.batch} samples, "
            f"{task.model.layers} layers and {task.model.heads} heads; {remedy.text}",
            item="ranks",
            **remedy.change,
        )
    lines = least.memory.lines()
    largest = max(lines, key=lines.__getitem__)
    need = (
        f"no layout fits: the smallest ({least.candidate.text()}) needs {bytes_text(least.memory.total)} "
        f"of {bytes_text(task.machine.usable)} on each rank, mostly {largest} ({bytes_text(lines[largest])})"
    )
    remedy = _less_memory(task, ranks)
    return LayoutError(f"{need}; {remedy.text}", item="memory", **remedy.change)


class Remedy(NamedTuple):
    """Describes a change that makes a layout fit. text: describes the change. change: the same change as
    facts of the error, or {}.
    """

    text: str
    change: dict[str, Any]


def fits(task: Task, ranks: int) -> bool:
    """True if a layout of this number of ranks fits into the memory."""
    found = smallest(task, ranks)
    return found is not None and not found.refusal


def _with_batch(task: Task, batch: int) -> Task:
    return task._replace(train=replace(task.train, batch=batch))


def _suitable(task: Task, ranks: int) -> Remedy:
    """Returns a remedy if no layout has this number of ranks: the nearest number of ranks that fits, or
    another batch.
    """
    near = (count for distance in range(1, NEAR) for count in (ranks - distance, ranks + distance))
    for count in near:
        if 1 <= count <= MOST and fits(task, count):
            return Remedy(f"choose {count:,} ranks", {"ranks": count})
    if ranks <= LARGEST and fits(_with_batch(task, ranks), ranks):
        return Remedy(f"choose a batch of {ranks:,}", {"batch": ranks})
    return Remedy("choose another number of ranks, or another batch", {})


def _less_memory(task: Task, ranks: int) -> Remedy:
    """Returns a remedy for layouts that need too much memory: offloading, more ranks, or a shorter context.
    """
    if not task.software.offload and fits(
        task._replace(software=replace(task.software, offload=True)), ranks
    ):
        return Remedy("--offload moves the optimiser to the host, and fits", {"offload": True})
    if count := _enough_ranks(ranks, lambda count: fits(task, count)):
        return Remedy(f"{count:,} ranks fit", {"ranks": count})
    if count := _enough_ranks(ranks, lambda count: fits(_with_batch(task, count), count)):
        return Remedy(f"{count:,} ranks fit, with a batch of {count:,}", {"ranks": count, "batch": count})
    for context in (task.model.context >> halvings for halvings in range(1, 5)):
        if context and fits(task._replace(model=replace(task.model, context=context)), ranks):
            return Remedy(f"a context of {context:,} fits", {"context": context})
    return Remedy("choose a smaller model or context, or a machine with more memory", {})


def _enough_ranks(ranks: int, enough: Callable[[int], bool]) -> int | None:
    """Returns a number of ranks larger than `ranks` for which enough(number) is true.

    The number is doubled until enough(number) is true. Then smaller numbers are tried, beginning with the
    smallest. They have equal distances, and are fewer than 2 * TRIED. Returns None if even 1,024 times as
    many ranks are not enough.
    """
    doubled = next((count for k in range(1, 11) if (count := 2**k * ranks) <= MOST and enough(count)), None)
    if doubled is None:
        return None
    stride = max(1, (doubled - ranks) // TRIED)
    return next((count for count in range(ranks + stride, doubled, stride) if enough(count)), doubled)
