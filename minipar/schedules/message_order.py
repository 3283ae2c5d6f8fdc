"""Checks of the messages: a channel keeps its order, and an array is freed only after its message was
received.
"""

from __future__ import annotations

import numpy as np

from minipar.schedules.contents import ProgramPosition, ProgramPositions, Programs, each, fault, key
from minipar.schedules.deadlock import execution
from minipar.schedules.lower import Message, Receive, Send, SendCompleted


def check_turns(programs: Programs) -> None:
    """A channel delivers its messages in the order in which they are sent, so they must be received in that
    order.

    The programs have passed `check_steps`, so every sent message is received, and the reverse. Raises
    ScheduleError.
    """
    sends, receives = (_by_channel(programs, kind) for kind in (Send, Receive))
    for channel, takes in receives.items():
        for (at, receive), (other, send) in zip(takes, sends[channel], strict=True):
            if receive.message != send.message:
                raise fault(at, receive, "wrong order",
                            f"gets {send.message}, which rank {other.rank} sends before it, in step "
                            f"{other.step}; receive what a stage sends in the order in which it is sent")


def _by_channel(programs: Programs,
                kind: type[Send] | type[Receive]) -> dict[tuple[str, int],
                                                          list[tuple[ProgramPosition, Send | Receive]]]:
    """For each channel its sends, or its receives, in the order of the one rank that has them."""
    channels: dict[tuple[str, int], list[tuple[ProgramPosition, Send | Receive]]] = {}
    for at, step in each(programs):
        if isinstance(step, kind):
            channels.setdefault(step.message.channel, []).append((at, step))
    return channels


def check_sent(programs: Programs, positions: ProgramPositions) -> None:
    """A SendCompleted may stand only where the message has certainly been received, for any timing of the
    ranks.

    Vector clocks (Fidge 1988, Mattern 1989): each rank knows, for every other rank, how many steps that rank
    has done at least. Every message carries this knowledge of its sender. The programs must be able to run to
    their end. Raises ScheduleError.
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
                        f"comes too early: nothing proves that rank {step.peer} has received it; "
                        f"move it after the receive of something that rank {step.peer} made later")
