"""From a schedule to the programs that ranks run: sends and receives follow from who computes what.

Stage s needs the activations of stage s - 1 for its forward, and the gradient from stage s + 1 for its
backward. Where another rank has the neighbour, a receive comes just before the instruction that needs it and
a send just after the one that makes it. All messages of one kind from one stage go through one channel, in
the order in which they are made; a rank that needs a later one first takes those before it, too.

A sent array must stay until the message is through. Nobody says when that is; but whoever sends back
something made after it received ours has received ours. At that point the program says `SendCompleted`, and
the array may go. What nothing answers, as the gradients of GPipe, stays until the step ends.
"""

from __future__ import annotations

from typing import NamedTuple

from minipar.schedules.instruction import Instruction, Schedule


class Message(NamedTuple):
    """what: "x", activations that stage `source` made, for the next one; or "g", the gradient that it made,
    for the one before.
    """

    what: str
    source: int
    micro: int

    @property
    def channel(self) -> tuple[str, int]:
        return self.what, self.source

    @property
    def dest(self) -> int:
        """The stage that needs it."""
        return self.source + 1 if self.what == "x" else self.source - 1

    def __str__(self) -> str:
        return f"{self.what}{self.micro}@{self.source}"


class Send(NamedTuple):
    message: Message
    peer: int


class Receive(NamedTuple):
    message: Message
    peer: int


class SendCompleted(NamedTuple):
    """The message has been received: its array may go."""

    message: Message
    peer: int


ProgramStep = Instruction | Send | Receive | SendCompleted
Program = list[ProgramStep]


def needs(instruction: Instruction, schedule: Schedule) -> Message | None:
    """What the instruction takes from a neighbouring stage; None at the ends of the model, and for W."""
    kind, stage, micro = instruction
    if kind == "F":
        return Message("x", stage - 1, micro) if stage > 0 else None
    if kind == "B":
        return Message("g", stage + 1, micro) if stage < schedule.stages - 1 else None
    return None


def makes(instruction: Instruction, schedule: Schedule) -> Message | None:
    """What the instruction makes for a neighbouring stage; None at the ends of the model, and for W."""
    kind, stage, micro = instruction
    if kind == "F":
        return Message("x", stage, micro) if stage < schedule.stages - 1 else None
    if kind == "B":
        return Message("g", stage, micro) if stage > 0 else None
    return None


def lower(schedule: Schedule) -> list[Program]:
    """The program of every rank. For a schedule that is not legal, so are its programs: `lint` says why.

    >>> from minipar.schedules.find import find_schedule
    >>> [type(step).__name__ for step in lower(find_schedule("gpipe", 2, 1))[1]]
    ['Receive', 'Instruction', 'Instruction', 'Send']
    """
    stage_to_rank = schedule.stage_to_rank
    queues = {channel: iter(made) for channel, made in _channels(schedule).items()}
    programs: list[Program] = []
    for rank, order in enumerate(schedule.orders):
        program: Program = []
        received: set[Message] = set()
        for instruction in order:
            needed = needs(instruction, schedule)
            if needed is not None and stage_to_rank[needed.source] != rank:
                while needed not in received:
                    # what nobody makes, it waits for in vain
                    message = next(queues.get(needed.channel, iter(())), needed)
                    received.add(message)
                    program.append(Receive(message, stage_to_rank[needed.source]))
            program.append(instruction)
            made = makes(instruction, schedule)
            if made is not None and stage_to_rank[made.dest] != rank:
                program.append(Send(made, stage_to_rank[made.dest]))
        programs.append(program)
    positions = [{step: position for position, step in enumerate(program)} for program in programs]
    return [_with_sent(rank, programs, positions) for rank in range(schedule.ranks)]


def _channels(schedule: Schedule) -> dict[tuple[str, int], list[Message]]:
    """The messages of every channel, in the order in which they are made."""
    channels: dict[tuple[str, int], list[Message]] = {}
    for order in schedule.orders:
        for instruction in order:
            if (made := makes(instruction, schedule)) is not None:
                channels.setdefault(made.channel, []).append(made)
    return channels


def _with_sent(rank: int, programs: list[Program], positions: list[dict[ProgramStep, int]]) -> Program:
    """The rank's program with a `SendCompleted` for each of its messages, at the first receive that proves
    the message received.

    positions: of each rank, where the steps of its program stand.
    """
    program: Program = []
    # peer -> where it receives it, the message; oldest first
    open_: dict[int, list[tuple[int, Message]]] = {}
    for step in programs[rank]:
        program.append(step)
        if isinstance(step, Send):
            position = positions[step.peer].get(Receive(step.message, rank))
            if position is not None:
                open_.setdefault(step.peer, []).append((position, step.message))
        if isinstance(step, Receive):
            made_at = positions[step.peer].get(Send(step.message, rank), -1)
            waiting = open_.get(step.peer, [])
            program += [SendCompleted(message, step.peer) for at, message in waiting if at < made_at]
            open_[step.peer] = [(at, message) for at, message in waiting if at > made_at]
    return program
