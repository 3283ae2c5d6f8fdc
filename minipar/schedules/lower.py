"""Lowers a schedule to one program per rank, by adding the sends and receives.

Stage s needs the activations of stage s - 1 for its forward, and the gradient of stage s + 1 for its
backward. If the other stage is on another rank, the value is sent. The receive comes directly before the
instruction that needs the value. The send comes directly after the instruction that computes the value. A
channel contains all messages of one kind (activations or gradients) from one stage, in the order of sending.
A rank that needs a later message of a channel first receives the earlier messages.

A sent array must be kept until the message has been received. A reply that depends on the message proves the
receipt. For example, rank 0 sends x0, and rank 1 uses x0 to compute the gradient g0. So when rank 0 receives
g0, x0 has already arrived. The program has a `SendCompleted` at this point, and the array may be freed. In
1F1B with 2 stages and 2 micro-batches, the program of rank 0 is:

    F0  Send x0  F1  Send x1  Receive g0  SendCompleted x0  B0  Receive g1  SendCompleted x1  B1

A message without such a reply, for example a gradient of GPipe, is kept until the end of the batch.

In this package, a *step* is one entry of an order or a program, not a training step.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from minipar.schedules.instruction import Instruction, Schedule


class Message(NamedTuple):
    """Describes a message between two stages. what: "x" for the activations of stage `source` that the next
    stage needs, or "g" for the gradient of stage `source` that the previous stage needs.
    """

    what: str
    source: int
    micro: int

    @property
    def channel(self) -> tuple[str, int]:
        return self.what, self.source

    @property
    def dest(self) -> int:
        """The stage that receives the message."""
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
    """A step of a program. It marks the time from which the message's array may be freed."""

    message: Message
    peer: int


ProgramStep = Instruction | Send | Receive | SendCompleted
Program = list[ProgramStep]


def needs(instruction: Instruction, schedule: Schedule) -> Message | None:
    """Returns the message that an instruction needs from a neighbouring stage. The result is None for F of
    the first stage, for B of the last stage, and for W.
    """
    kind, stage, micro = instruction
    if kind == "F":
        return Message("x", stage - 1, micro) if stage > 0 else None
    if kind == "B":
        return Message("g", stage + 1, micro) if stage < schedule.stages - 1 else None
    return None


def makes(instruction: Instruction, schedule: Schedule) -> Message | None:
    """Returns the message for a neighbouring stage that an instruction computes. The result is None for F of
    the last stage, for B of the first stage, and for W.
    """
    kind, stage, micro = instruction
    if kind == "F":
        return Message("x", stage, micro) if stage < schedule.stages - 1 else None
    if kind == "B":
        return Message("g", stage, micro) if stage > 0 else None
    return None


def lower(schedule: Schedule) -> list[Program]:
    """Returns the program of every rank. An invalid schedule gives invalid programs, and `lint` reports the
    reason.

    >>> from minipar.schedules.find import find_schedule
    >>> [type(step).__name__ for step in lower(find_schedule("gpipe", 2, 1))[1]]
    ['Receive', 'Instruction', 'Instruction', 'Send']
    """
    return [list(program) for program in _lowered(schedule)]


@lru_cache(maxsize=16)                                              # ranks on threads share this result
def _lowered(schedule: Schedule) -> list[Program]:
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
                    # if no rank computes `needed`, its receive deadlocks (`lint` reports it)
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
    """Returns the messages of every channel in the order of sending."""
    channels: dict[tuple[str, int], list[Message]] = {}
    for order in schedule.orders:
        for instruction in order:
            if (made := makes(instruction, schedule)) is not None:
                channels.setdefault(made.channel, []).append(made)
    return channels


def _with_sent(rank: int, programs: list[Program], positions: list[dict[ProgramStep, int]]) -> Program:
    """Returns the rank's program with a `SendCompleted` for each of its messages. The SendCompleted comes
    after the first receive that proves the receipt of the message.

    positions: for each rank, the position of each step in its program.
    """
    program: Program = []
    # peer -> list of (position of the receive in the peer's program, message), the oldest first
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
