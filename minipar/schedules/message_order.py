"""Checks that messages are received in the order of sending, and that an array is freed only after its
message has been received.
"""

from __future__ import annotations

import numpy as np

from minipar.schedules.contents import ProgramPosition, ProgramPositions, Programs, each, fault, key
from minipar.schedules.deadlock import execution
from minipar.schedules.lower import Message, Receive, Send, SendCompleted


def check_turns(programs: Programs) -> None:
    """Checks that messages are received in the order of sending. A channel (all messages of one kind from one
    stage) delivers its messages in this order.

    The programs must have passed `check_steps`, so every sent message is received, and every received message
    is sent. Raises ScheduleError for the first message in a wrong order.
    """
    sends, receives = (_by_channel(programs, kind) for kind in (Send, Receive))
    for channel, takes in receives.items():
        for (at, receive), (other, send) in zip(takes, sends[channel], strict=True):
            if receive.message != send.message:
                raise fault(at, receive, "wrong order",
                            f"gets {send.message}, which rank {other.rank} sends earlier, in step "
                            f"{other.step}; receive the messages of a stage in the order of sending")


def _by_channel(programs: Programs,
                kind: type[Send] | type[Receive]) -> dict[tuple[str, int],
                                                          list[tuple[ProgramPosition, Send | Receive]]]:
    """Returns a dict: channel -> its sends or its receives, in order. All of them are in the program of one
    rank.
    """
    channels: dict[tuple[str, int], list[tuple[ProgramPosition, Send | Receive]]] = {}
    for at, step in each(programs):
        if isinstance(step, kind):
            channels.setdefault(step.message.channel, []).append((at, step))
    return channels


def check_sent(programs: Programs, positions: ProgramPositions) -> None:
    """Checks that each SendCompleted comes after the receipt of its message, for any timing of the ranks.

    The check uses vector clocks (Fidge 1988, Mattern 1989). A rank's clock has, for every other rank, the
    number of steps that this other rank has certainly finished. Every message contains the clock of its
    sender. The programs must have no deadlock. Raises ScheduleError for the first SendCompleted that comes
    too early.
    """
    known = np.zeros((len(programs), len(programs)), np.int64)       # known[rank, other]
    carried: dict[Message, np.ndarray] = {}
    for rank, number in execution(programs, synchronous=False):
        step = programs[rank][number]
        known[rank, rank] = number + 1
        if isinstance(step, Send):
            carried[step.message] = known[rank].copy()
        if isinstance(step, Receive):
            np.maximum(known[rank], carried.pop(step.message), out=known[rank])
        if (
            isinstance(step, SendCompleted)
            and known[rank, step.peer] <= positions[key(Receive(step.message, rank))].step
        ):
            raise fault(ProgramPosition(rank, number), step, "too early",
                        f"comes too early: no message proves that rank {step.peer} has received it; "
                        f"move it after the receive of a value that rank {step.peer} computed later")
