"""What limits a plan: the change of its time with the machine, and the change to make if no layout fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from minipar.errors import LayoutError
from minipar.plan.machine import Link, Machine
from minipar.plan.search import GIB, Candidate, PlanOutcome, Task, best, candidates, evaluate

FIELD = 48  # outcomes that compete when the machine changes


class Sensitivity(NamedTuple):
    """change: of the machine. same: the best layout's new time, divided by its old one. choice: the best
    layout on the changed machine; gain: its time divided by the best layout's new one.
    """

    change: str
    same: float
    choice: Candidate
    gain: float


def _faster(link: Link, factor: float) -> Link:
    return replace(link, bandwidth=link.bandwidth * factor)


def changed_machines(machine: Machine) -> dict[str, Machine]:
    """What may be wrong about the machine, or different: each is another machine."""
    return {
        "rate -20 %": replace(machine, rate=0.8 * machine.rate),
        "launch overhead x 2": replace(machine, launch=min(1.0, 2 * machine.launch)),
        "memory rate -20 %": replace(machine, memory_rate=0.8 * machine.memory_rate),
        "links within a node / 2": replace(machine, within=_faster(machine.within, 0.5)),
        "links between nodes / 2": replace(machine, between=_faster(machine.between, 0.5)),
        "memory -10 %": replace(machine, reserve=machine.reserve + 0.1 * machine.memory),
    }


def sensitivities(task: Task, outcomes: Sequence[PlanOutcome], objective: str = "time") -> list[Sensitivity]:
    """How the best outcome answers to each changed machine; the FIELD best outcomes compete."""
    field = best(outcomes, objective, FIELD)
    found = []
    for change, machine in changed_machines(task.machine).items():
        again = [evaluate(task._replace(machine=machine), outcome.candidate) for outcome in field]
        winner = next(iter(best(again, objective, 1)), again[0])
        same = again[0].seconds if not again[0].refusal else float("inf")
        found.append(Sensitivity(change, same / field[0].seconds, winner.candidate, winner.seconds / same))
    return found


def smallest(task: Task, ranks: int) -> PlanOutcome | None:
    """The outcome that needs the least memory, or None if no layout is possible at all."""
    thrifty = (
        one
        for one in candidates(task, ranks)
        if one.recompute == "full" and one.micro == 1 and one.layout.zero in (0, 3) and not one.layout.virtual
    )
    able = [outcome for one in thrifty if (outcome := evaluate(task, one)).memory is not None]
    return min(able, key=lambda outcome: outcome.memory.total if outcome.memory else 0.0, default=None)


def no_layout_fits(task: Task, ranks: int) -> LayoutError:
    """The error for a search in which nothing fits: which limit, and the smallest change that helps."""
    least = smallest(task, ranks)
    if least is None or least.memory is None:
        return LayoutError(
            f"no layout of {ranks} ranks suits a batch of {task.train.batch} samples, "
            f"{task.model.layers} layers and {task.model.heads} heads; choose another number of ranks, "
            f"or a batch of {ranks}",
            item="ranks",
        )
    lines = least.memory.lines()
    largest = max(lines, key=lines.__getitem__)
    need = (
        f"no layout fits: the smallest ({least.candidate.text()}) needs {least.memory.total / GIB:.1f} GiB "
        f"of {task.machine.usable / GIB:.1f} on each rank, mostly {largest} ({lines[largest] / GIB:.1f})"
    )
    return LayoutError(f"{need}; {_remedy(task, ranks)}", item="memory")


def _remedy(task: Task, ranks: int) -> str:
    """The smallest change that makes a layout fit."""

    def fits(other: Task, number: int) -> bool:
        found = smallest(other, number)
        return found is not None and not found.refusal

    offloading = task._replace(software=replace(task.software, offload=True))
    if not task.software.offload and fits(offloading, ranks):
        return "--offload moves the optimiser to the host, and fits"
    for doubled in (2**k * ranks for k in range(1, 11)):
        batch = max(task.train.batch, doubled)
        if doubled <= 1 << 20 and fits(task._replace(train=replace(task.train, batch=batch)), doubled):
            return f"{doubled:,} ranks fit" + (
                f", with a batch of {batch}" if batch > task.train.batch else ""
            )
    half = task.model.context // 2
    if half and fits(task._replace(model=replace(task.model, context=half)), ranks):
        return f"a context of {half} fits"
    return "choose a smaller model or context, or a machine with more memory"
