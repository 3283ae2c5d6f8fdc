"""Proves that a schedule is valid. The proof reads only the order of the steps. It does not run the schedule.

A valid schedule computes every value once and uses it once. It uses no value before it exists, receives every
message, and does not deadlock. The *order* of a rank is the list of its instructions. The *program* of a rank
is its order with sends and receives. `lint` checks the orders, and then the programs that `lower` derives
from them. It can also check other programs, for example programs that were changed by hand. A *step* is one
entry of an order or a program, counted from 0. The first mistake raises a ScheduleError that names the step:

    rank 1, stage 1, step 3: F1 has no input: the receive of x1@0 comes later, in step 4; move it before this
    step
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from minipar.errors import ScheduleError
from minipar.records import Number
from minipar.schedules.contents import Programs, check_steps
from minipar.schedules.deadlock import Wait, deadlock
from minipar.schedules.footprint import peak_activations
from minipar.schedules.instruction import Instruction, Schedule
from minipar.schedules.lower import Send, lower
from minipar.schedules.message_order import check_sent, check_turns


@dataclass(frozen=True)
class LintReport:
    """Holds the proven facts about a valid schedule.

    ring: the ranks that wait for each other in a cycle if sends are synchronous. It is empty if the schedule
    is also safe with such sends. peaks: for each rank, the largest number of activations that it keeps at one
    time. There is one activation per stage and micro-batch. It is kept from F to the end of B. If backward is
    split, it is kept to the end of W. In a forward-only schedule, it is kept to the end of F. messages:
    (sender, receiver) -> the number of messages.
    """

    ring: tuple[Wait, ...]
    peaks: tuple[Number, ...]
    messages: dict[tuple[int, int], int]

    @property
    def safe_async(self) -> bool:
        """Always True, because `lint` refuses a schedule that deadlocks with asynchronous sends."""
        return True

    @property
    def safe_sync(self) -> bool:
        """True if the schedule ends without a deadlock when every send waits for its receive."""
        return not self.ring

    @property
    def deadlock(self) -> str:
        """Describes the deadlock with synchronous sends. It is "" if there is no deadlock."""
        return _told(self.ring)


def lint(schedule: Schedule, programs: Programs | None = None, *, synchronous: bool = False) -> LintReport:
    """Prove that a schedule is valid. Without `programs`, the orders of the schedule are checked, and then
    the programs that `lower` derives. With `programs`, only these programs are checked.

    synchronous: if true, every send waits for its receive, and a schedule that is safe only with asynchronous
    sends is also refused. Raises ScheduleError for the first mistake. Its step number is a position in the
    schedule's orders or, if `programs` are given, in these programs.

    >>> import minipar as mp
    >>> mp.lint(mp.schedule("1f1b", 2, 3)).peaks                # for each rank
    (2, 1)
    """
    _check_sizes(schedule, programs)
    orders = programs is None
    if programs is None:
        check_steps(schedule, schedule.orders, messages=False)
        programs = lower(schedule)
    positions = check_steps(schedule, programs, messages=True)
    check_turns(programs)
    if ring := deadlock(programs, synchronous=False, orders=orders):
        raise ScheduleError(f"deadlock: {_told(ring)}; if another rank waits for a step, move this step to "
                            "an earlier position")
    check_sent(programs, positions)
    if (ring := deadlock(programs, synchronous=True, orders=orders)) and synchronous:
        raise ScheduleError(f"deadlock under synchronous sends: {_told(ring)}; use asynchronous sends")
    messages = Counter((rank, step.peer) for rank, program in enumerate(programs) for step in program
                       if isinstance(step, Send))
    orders_run = tuple(tuple(instruction for instruction in program if isinstance(instruction, Instruction))
                       for program in programs)
    return LintReport(ring, tuple(peak_activations(replace(schedule, orders=orders_run))),
                      dict(sorted(messages.items())))


def _check_sizes(schedule: Schedule, programs: Programs | None) -> None:
    ranks = range(schedule.ranks)
    if schedule.micro_batches < 1:
        raise ScheduleError(f"{schedule.micro_batches} micro-batches; give at least 1")
    if not schedule.stage_to_rank:
        raise ScheduleError("there are no stages; give the rank of each stage")
    for stage, owner in enumerate(schedule.stage_to_rank):
        if owner not in ranks:
            raise ScheduleError(f"stage {stage} is on rank {owner}, but there are orders for {len(ranks)} "
                                "ranks; add an order, or choose another rank")
    if programs is not None and len(programs) != len(ranks):
        raise ScheduleError(f"{len(programs)} programs for {len(ranks)} ranks; give one for each rank")


def _told(ring: tuple[Wait, ...]) -> str:
    return "; ".join(map(str, ring))
