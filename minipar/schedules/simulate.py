"""What a schedule takes: when each instruction starts and ends, if every rank does its own in order.

An instruction starts when its rank is free and its input is there. A message takes its time, but holds nobody
up: senders go on at once, as the executor's non-blocking sends let them. Any number of messages may be on
their way at once, unless `LinkQueues` say otherwise.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol

from minipar.errors import ScheduleError
from minipar.records import Number
from minipar.schedules.costs import Costs
from minipar.schedules.instruction import Instruction, Schedule
from minipar.schedules.lower import Message, makes, needs
from minipar.schedules.times import Times


@dataclass(frozen=True)
class Timeline(Times):
    """start, end: of each instruction, as the schedule's orders have them: start[rank][step]."""

    schedule: Schedule
    start: tuple[tuple[Number, ...], ...]
    end: tuple[tuple[Number, ...], ...]


class LinkQueues(Protocol):
    """How long instructions and messages wait for a link. Asked in each rank's own order of
    instructions.
    """

    def begins(self, rank: int, instruction: Instruction, ready: Number) -> Number:
        """When the work of an instruction begins whose rank and input are ready then."""

    def leaves(self, rank: int, ready: Number, time: Number) -> Number:
        """When a message has left its sender that is ready then, and is on its way for so long."""

    def arrives(self, rank: int, left: Number, time: Number) -> Number:
        """When it is there for its receiver."""


class NoQueues:
    """Nothing waits for a link."""

    def begins(self, rank: int, instruction: Instruction, ready: Number) -> Number:
        return ready

    def leaves(self, rank: int, ready: Number, time: Number) -> Number:
        return ready + time

    def arrives(self, rank: int, left: Number, time: Number) -> Number:
        return left


def simulate(schedule: Schedule, costs: Costs | None = None, queues: LinkQueues | None = None) -> Timeline:
    """When each instruction starts and ends. costs: None for F, B and W of 1 and messages of 0. queues: None
    where nothing waits for a link.

    An instruction counts from when its rank and its input are ready, so that its time includes what its
    rank's link adds.

    Raises ScheduleError for a schedule that cannot go on; what else may be wrong with it, `lint` says.

    >>> import minipar as mp
    >>> mp.simulate(mp.schedule("gpipe", 4, 8)).bubble()        # (p - 1) / (m + p - 1)
    Fraction(3, 11)
    """
    run = _Run(schedule, costs or Costs(), queues or NoQueues())
    todo = deque(range(schedule.ranks))
    while todo:
        todo.extend(run.until_blocked(todo.popleft()))
    if any(len(end) < len(order) for end, order in zip(run.end, schedule.orders, strict=True)):
        raise ScheduleError(run.stuck())
    return run.timeline()


class _Run:
    """The state of a simulation: what each rank has done, which messages are on their way or have arrived."""

    def __init__(self, schedule: Schedule, costs: Costs, queues: LinkQueues) -> None:
        self.schedule, self.queues = schedule, queues
        self.times = {kind: costs.per_stage(kind, schedule.stages) for kind in "FBW"}
        if not schedule.split:
            self.times["B"] = [b + w for b, w in zip(self.times["B"], self.times["W"], strict=True)]
        self.sizes = costs.per_micro(schedule.micro_batches)
        self.message = costs.message
        self.start: list[list[Number]] = [[] for _ in schedule.orders]
        self.end: list[list[Number]] = [[] for _ in schedule.orders]
        self.busy: list[Number] = [0] * schedule.ranks
        self.left: dict[Message, Number] = {}                        # when each message has left its sender
        self.waiting: dict[Message, int] = {}                        # what a rank waits for -> the rank

    def until_blocked(self, rank: int) -> list[int]:
        """The rank goes on until it waits for a message. Returns the ranks that waited for what it has
        made.
        """
        woken = []
        order, start, end = self.schedule.orders[rank], self.start[rank], self.end[rank]
        clock = end[-1] if end else 0
        while len(end) < len(order):
            instruction = order[len(end)]
            needed = needs(instruction, self.schedule)
            if needed is not None:
                if needed not in self.left:
                    self.waiting[needed] = rank
                    break
                clock = max(clock, self._arrival(needed, rank))
            time = self.times[instruction.kind][instruction.stage] * self.sizes[instruction.micro]
            start.append(clock)
            begin = self.queues.begins(rank, instruction, clock)
            self.busy[rank] += time + (begin - clock)
            clock = begin + time
            end.append(clock)
            made = makes(instruction, self.schedule)
            if made is not None:
                abroad = self.schedule.stage_to_rank[made.dest] != rank
                self.left[made] = self.queues.leaves(rank, clock, self.message
                                                    * self.sizes[made.micro]) if abroad else clock
                if made in self.waiting:
                    woken.append(self.waiting.pop(made))
        return woken

    def _arrival(self, message: Message, rank: int) -> Number:
        if self.schedule.stage_to_rank[message.source] == rank:
            return self.left[message]
        return self.queues.arrives(rank, self.left[message], self.message * self.sizes[message.micro])

    def stuck(self) -> str:
        """Who waits for what, in one line."""
        waits = [f"rank {rank} at step {len(self.end[rank])}, "
                 f"{self.schedule.orders[rank][len(self.end[rank])]}, for {message}"
                 for message, rank in sorted(self.waiting.items(), key=lambda item: item[1])]
        more = f" and {len(waits) - 4} more" if len(waits) > 4 else ""
        return f"schedule {self.schedule.name} does not go on: {'; '.join(waits[:4])}{more}"

    def timeline(self) -> Timeline:
        return Timeline(
            started=tuple(start[0] if start else 0 for start in self.start),
            finished=tuple(end[-1] if end else 0 for end in self.end),
            busy=tuple(self.busy), schedule=self.schedule, start=tuple(map(tuple, self.start)),
            end=tuple(map(tuple, self.end)))
