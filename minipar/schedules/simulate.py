"""Simulates a schedule: computes the start and the end of every instruction. Every rank executes its
instructions in order.

An instruction starts when its rank is free and its input has arrived. A message takes time, but the sender
continues immediately, as with the executor's non-blocking sends. Any number of messages can be in
flight at the same time, unless `LinkQueues` limits them.
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
    """Holds the times of all instructions. start[rank][i], end[rank][i]: the times of instruction i in the
    order of a rank.
    """

    schedule: Schedule
    start: tuple[tuple[Number, ...], ...]
    end: tuple[tuple[Number, ...], ...]


class LinkQueues(Protocol):
    """The interface for computing how long instructions and messages wait for a busy link. Its methods are
    called in the order of each rank's instructions.
    """

    def begins(self, rank: int, instruction: Instruction, ready: Number) -> Number:
        """Returns the time at which an instruction begins. ready: the time at which its rank and input are
        ready.
        """

    def leaves(self, rank: int, ready: Number, time: Number) -> Number:
        """Returns the time at which a message has left its sender. ready: the time at which the message is
        ready. time: its travel time.
        """

    def arrives(self, rank: int, left: Number, time: Number) -> Number:
        """Returns the time at which a message has arrived at its receiver."""


class NoQueues:
    """Implements LinkQueues without waiting times."""

    def begins(self, rank: int, instruction: Instruction, ready: Number) -> Number:
        return ready

    def leaves(self, rank: int, ready: Number, time: Number) -> Number:
        return ready + time

    def arrives(self, rank: int, left: Number, time: Number) -> Number:
        return left


def simulate(schedule: Schedule, costs: Costs | None = None, queues: LinkQueues | None = None) -> Timeline:
    """Computes the start and end of each instruction. costs: None means F = B = W = 1 and messages that take
    no time. queues: None if links are never busy.

    An instruction starts when its rank and its input are ready. If it then waits for the link of its rank,
    this wait is a part of its time. Raises ScheduleError for a schedule that deadlocks; `lint` finds all
    other mistakes.

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
    """Holds the state of a simulation: the finished instructions of each rank, and the messages sent so far.
    """

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
        self.waiting: dict[Message, int] = {}                        # message -> the rank that waits for it

    def until_blocked(self, rank: int) -> list[int]:
        """Run this rank until it waits for a message. Returns the ranks that waited for its messages."""
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
                self.left[made] = clock
                if self.schedule.stage_to_rank[made.dest] != rank:
                    self.left[made] = self.queues.leaves(rank, clock, self.message * self.sizes[made.micro])
                if made in self.waiting:
                    woken.append(self.waiting.pop(made))
        return woken

    def _arrival(self, message: Message, rank: int) -> Number:
        if self.schedule.stage_to_rank[message.source] == rank:
            return self.left[message]
        return self.queues.arrives(rank, self.left[message], self.message * self.sizes[message.micro])

    def stuck(self) -> str:
        """Describes the waiting ranks and their messages in one line."""
        waits = [f"rank {rank} at step {len(self.end[rank])}, "
                 f"{self.schedule.orders[rank][len(self.end[rank])]}, waits for {message}"
                 for message, rank in sorted(self.waiting.items(), key=lambda item: item[1])]
        more = f" and {len(waits) - 4} more" if len(waits) > 4 else ""
        return f"schedule {self.schedule.name} deadlocks: {'; '.join(waits[:4])}{more}"

    def timeline(self) -> Timeline:
        return Timeline(
            started=tuple(start[0] if start else 0 for start in self.start),
            finished=tuple(end[-1] if end else 0 for end in self.end),
            busy=tuple(self.busy), schedule=self.schedule, start=tuple(map(tuple, self.start)),
            end=tuple(map(tuple, self.end)))
