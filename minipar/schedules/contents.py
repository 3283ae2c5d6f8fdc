"""Checks the steps of a schedule: every value is computed once, on its own rank, and is used only afterwards.

The *order* of a rank is the list of its instructions, such as F0 F1 B0 B1. The *program* of a rank has sends
and receives, too. A *step* is one entry of an order or a program. The checks read either the orders or the
programs of all ranks. They raise an error for the first wrong step: `rank 1, stage 1, step 3: F1 has no
input: ...`. Steps are numbered from 0.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

from minipar.errors import ScheduleError
from minipar.schedules.instruction import KINDS, Instruction, Schedule
from minipar.schedules.lower import Message, ProgramStep, Receive, Send, SendCompleted, needs

Programs = Sequence[Sequence[ProgramStep]]  # the order or the program of every rank

WANTS = {"F": "input", "B": "gradient"}  # kind -> the value that a neighbouring stage computes
# kind -> (the earlier kind that it needs on the same rank, the value that the earlier kind computes)
BEFORE = {"B": ("F", "activations"), "W": ("B", "gradient")}
NAMES = {Send: "the send", Receive: "the receive", SendCompleted: "the SendCompleted"}


class ProgramPosition(NamedTuple):
    rank: int
    step: int


ProgramPositions = dict[Hashable, ProgramPosition]


def key(step: ProgramStep) -> Hashable:
    """Returns the key of a step in ProgramPositions. The key includes the type, because a Send, a Receive and
    a SendCompleted of one message are equal as tuples.
    """
    return step if isinstance(step, Instruction) else (type(step), step.message)


def name(step: ProgramStep) -> str:
    """Returns the name of a step, such as "F1" or "the receive of x1@0"."""
    return (f"{step.kind}{step.micro}"
            if isinstance(step, Instruction)
            else f"{NAMES[type(step)]} of {step.message}")


def stage_of(step: ProgramStep) -> int:
    """Returns the stage of a step."""
    if isinstance(step, Instruction):
        return step.stage
    return step.message.dest if isinstance(step, Receive) else step.message.source


def fault(at: ProgramPosition, step: ProgramStep, kind: str, text: str) -> ScheduleError:
    """Returns the error for one step. Its facts are kind, rank, stage, step and item. kind names the
    mistake, for example "repeated". Examples of items are "F1" and "the send of x1@0".
    """
    stage = stage_of(step)
    return ScheduleError(f"rank {at.rank}, stage {stage}, step {at.step}: {name(step)} {text}",
                         kind=kind, rank=at.rank, stage=stage, step=at.step, item=name(step))


def each(steps: Programs) -> Iterator[tuple[ProgramPosition, ProgramStep]]:
    """Yields all steps of all ranks, with their positions."""
    for rank, program in enumerate(steps):
        for number, step in enumerate(program):
            yield ProgramPosition(rank, number), step


def check_steps(schedule: Schedule, steps: Programs, *, messages: bool) -> ProgramPositions:
    """Checks that every step is on its rank and occurs once, that every value exists before its use, and that
    no step is missing.

    messages: true for programs, false for orders. In a program, a rank must receive a value of another rank
    before it uses the value. An order has no receives, so it is enough that the other rank computes the
    value. Returns the position of every step. Raises ScheduleError for the first wrong step of the first rank
    that has a wrong step.
    """
    positions: ProgramPositions = {}
    for at, step in each(steps):
        positions.setdefault(key(step), at)
    for at, step in each(steps):
        if isinstance(step, Instruction):
            _check_instruction(at, step, schedule)
        else:
            _check_address(at, step, schedule)
        if positions[key(step)] < at:
            raise fault(at, step, "repeated",
                        f"occurs a second time, after step {positions[key(step)].step}; drop one of them")
        if not isinstance(step, Instruction):
            _check_message(at, step, positions)
            continue
        if step.kind in BEFORE:
            _check_own(at, step, positions)
        if (needed := needs(step, schedule)) is not None:
            _check_needed(at, step, needed, schedule, positions, messages)
    for rank, program in enumerate(steps):
        _check_complete(ProgramPosition(rank, len(program)), schedule, positions)
    return positions


def _check_instruction(at: ProgramPosition, step: Instruction, schedule: Schedule) -> None:
    kind, stage, micro = step
    if kind not in KINDS:
        raise fault(at, step, "unknown kind", f"is not an instruction; choose {', '.join(KINDS)}")
    if stage not in range(schedule.stages):
        raise fault(at, step, "unknown stage",
                    f"has a stage that does not exist; stages are 0 to {schedule.stages - 1}")
    if micro not in range(schedule.micro_batches):
        raise fault(at, step, "unknown micro-batch",
                    "has a micro-batch that does not exist; micro-batches are 0 to "
                    f"{schedule.micro_batches - 1}")
    if schedule.stage_to_rank[stage] != at.rank:
        raise fault(at, step, "wrong rank",
                    f"is on the wrong rank; move it to rank {schedule.stage_to_rank[stage]}, which has stage "
                    f"{stage}")
    if kind != "F" and schedule.forward_only:
        raise fault(at, step, "backward in inference",
                    "is not allowed in a forward-only schedule; drop it")
    if kind == "W" and not schedule.split:
        raise fault(at, step, "needless W",
                    "has nothing to do, because B is the whole backward here; drop it, or split backward")


def _check_address(at: ProgramPosition, step: Send | Receive | SendCompleted, schedule: Schedule) -> None:
    (what, source, micro), stages = step.message, range(schedule.stages)
    known = source in stages and step.message.dest in stages and micro in range(schedule.micro_batches)
    if what not in ("x", "g") or not known:
        raise fault(at, step, "needless message", "has a message that no stage needs; drop it")
    here, there = schedule.stage_to_rank[source], schedule.stage_to_rank[step.message.dest]
    if isinstance(step, Receive):
        here, there = there, here
    if here != at.rank:
        raise fault(at, step, "wrong rank", f"is on the wrong rank; move it to rank {here}")
    if here == there:
        raise fault(at, step, "own rank",
                    "is between two stages of one rank; drop it, because the rank has the value")
    if step.peer != there:
        raise fault(at, step, "wrong peer", f"has rank {step.peer} as its peer; it must be rank {there}")


def _check_message(at: ProgramPosition, step: Send | Receive | SendCompleted,
                   positions: ProgramPositions) -> None:
    message, peer = step.message, step.peer
    maker = Instruction("F" if message.what == "x" else "B", message.source, message.micro)
    if isinstance(step, Send) and (problem := not_before(at, maker, positions)) is not None:
        raise fault(at, step, "nothing to send", f"has nothing to send: {problem}")
    if isinstance(step, SendCompleted) and (problem := not_before(at, Send(message, peer),
                                                                  positions)) is not None:
        raise fault(at, step, "too early", f"comes too early: {problem}")
    if isinstance(step, Receive) and key(Send(message, at.rank)) not in positions:
        raise fault(at, step, "never sent",
                    f"never ends: rank {peer} never sends it; add the send there, after {maker}")


def _check_own(at: ProgramPosition, step: Instruction, positions: ProgramPositions) -> None:
    """Checks that F comes before its B, and B before its W. B needs the activations, and W needs the
    gradient.
    """
    kind, value = BEFORE[step.kind]
    if (problem := not_before(at, Instruction(kind, step.stage, step.micro), positions)) is not None:
        raise fault(at, step, f"no {value}", f"has no {value}: {problem}")


def _check_needed(at: ProgramPosition, step: Instruction, needed: Message, schedule: Schedule,
                  positions: ProgramPositions, messages: bool) -> None:
    owner, problem = schedule.stage_to_rank[needed.source], None
    maker, receive = Instruction(step.kind, needed.source, needed.micro), Receive(needed, owner)
    if owner == at.rank:
        problem = not_before(at, maker, positions)
    elif not messages:
        problem = None if maker in positions else f"rank {owner} never computes {maker}; add it there"
    elif key(receive) not in positions and (sent := positions.get(key(Send(needed, at.rank)))) is not None:
        problem = (f"{needed}, which rank {sent.rank} sends in step {sent.step}, is never received; "
                   "add the receive before this step")
    else:
        problem = not_before(at, receive, positions)
    if problem is not None:
        wanted = WANTS[step.kind]
        raise fault(at, step, f"no {wanted}", f"has no {wanted}: {problem}")


def not_before(at: ProgramPosition, earlier: ProgramStep, positions: ProgramPositions) -> str | None:
    """Describes the problem if `earlier` does not come before this position on the same rank. Else returns
    None.
    """
    what = str(earlier) if isinstance(earlier, Instruction) else name(earlier)
    found = positions.get(key(earlier))
    if found is None or found.rank != at.rank:
        return f"{what} is missing on this rank; add it before this step"
    return (f"{what} comes later, in step {found.step}; move it before this step"
            if found.step > at.step
            else None)


def _check_complete(end: ProgramPosition, schedule: Schedule, positions: ProgramPositions) -> None:
    kinds = "F" if schedule.forward_only else "FBW" if schedule.split else "FB"
    for stage in schedule.stages_of(end.rank):
        for micro in range(schedule.micro_batches):
            for kind in kinds:
                step = Instruction(kind, stage, micro)
                if step not in positions:
                    cause = (positions.get(Instruction(BEFORE[kind][0], stage, micro)) if kind in BEFORE
                             else None)
                    where = f"after step {cause.step}" if cause else "to this rank"
                    raise fault(end, step, "missing",
                                f"is not among the steps of this rank; add it {where}")
