"""Is a schedule right? Proven on the order of the steps alone, before any rank computes.

A schedule that passes makes every value once and uses it once, uses nothing before it is there, leaves no
message behind, and comes to its end. The same is proven of the programs that ranks run: those that `lower`
derives, or others, for example changed by hand. What must be right and is not ends in a ScheduleError that
points at the step, counted from 0:

    rank 1, stage 1, step 3: F1 has no input: the receive of x1@0 comes only in step 4; move it before this step
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
    """What is proven of a schedule that is right.

    ring: the ranks that wait for each other if sends are synchronous; none where the schedule is safe for
    such sends, too. peaks: of each rank, the largest number of activations that it has at once, each of one
    stage and one micro-batch: from F to the end of B, or of W where backward is split; of F in a forward-only
    schedule. messages: (sender, receiver) -> how many messages.
    """

    ring: tuple[Wait, ...]
    peaks: tuple[Number, ...]
    messages: dict[tuple[int, int], int]

    @property
    def safe_async(self) -> bool:
        """True: a schedule that asynchronous sends cannot bring to its end is refused."""
        return True

    @property
    def safe_sync(self) -> bool:
        """Does it come to its end where a send waits for its receive?"""
        return not self.ring

    @property
    def deadlock(self) -> str:
        """Who waits for whom under synchronous sends; empty if nobody does for ever."""
        return _told(self.ring)


def lint(schedule: Schedule, programs: Programs | None = None, *, synchronous: bool = False) -> LintReport:
    """Prove the schedule, and its programs as `lower` derives them; or the given programs of its ranks.

    synchronous: the sends wait for their receives, so a schedule that is safe with asynchronous ones only is
    refused, too. Places in errors count the steps of the schedule's orders, or of the given programs. Raises
    ScheduleError for the first thing that is wrong.

    >>> import minipar as mp
    >>> mp.lint(mp.schedule("1f1b", 2, 3)).peaks                # micro-batches in flight, of each rank
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
        raise ScheduleError(f"deadlock: {_told(ring)}; let one of these ranks do first what the other waits "
                            "for")
    check_sent(programs, positions)
    if (ring := deadlock(programs, synchronous=True, orders=orders)) and synchronous:
        raise ScheduleError(f"deadlock under synchronous sends: {_told(ring)}; send without waiting")
    messages = Counter((rank, step.peer) for rank, program in enumerate(programs) for step in program
                       if isinstance(step, Send))
    orders_run = tuple(tuple(step for step in program if isinstance(step, Instruction))
                       for program in programs)
    return LintReport(ring, tuple(peak_activations(replace(schedule, orders=orders_run))),
                      dict(sorted(messages.items())))


def _check_sizes(schedule: Schedule, programs: Programs | None) -> None:
    ranks = range(schedule.ranks)
    if schedule.micro_batches < 1:
        raise ScheduleError(f"{schedule.micro_batches} micro-batches; give at least 1")
    if not schedule.stage_to_rank:
        raise ScheduleError("no stages; name the rank of each")
    for stage, owner in enumerate(schedule.stage_to_rank):
        if owner not in ranks:
            raise ScheduleError(f"stage {stage} is on rank {owner}, but there are orders for {len(ranks)} "
                                "ranks; add an order, or "
                                f"choose another rank")
    if programs is not None and len(programs) != len(ranks):
        raise ScheduleError(f"{len(programs)} programs for {len(ranks)} ranks; give one for each rank")


def _told(ring: tuple[Wait, ...]) -> str:
    return "; ".join(map(str, ring))
