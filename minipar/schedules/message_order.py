"""Whether messages arrive as the programs believe: those of a channel in turn, and in time before their
arrays go.
"""

from __future__ import annotations

import numpy as np

from minipar.schedules.contents import ProgramPosition, ProgramPositions, Programs, each, fault, key
from minipar.schedules.deadlock import execution
from minipar.schedules.lower import Message, Receive, Send, SendCompleted


def check_turns(programs: Programs) -> None:
    """A channel hands its messages over in the order in which they are sent, whatever the receiver believes
    to take.

    The programs have passed `check_steps`, by which what is sent is received and the reverse. Raises
    ScheduleError.
    """
    sends, receives = (_by_channel(programs, kind) for kind in (Send, Receive))
    for channel, takes in receives.items():
        for (at, receive), (other, send) in zip(takes, sends[channel], strict=True):
            if receive.message != send.message:
                raise fault(at, receive,
                            f"gets {send.message}, which rank {other.rank} sends before it, in step "
                            f"{other.step}; "
                            f"receive what a stage sends in the order in which it is sent")


def _by_channel(programs: Programs,
                kind: type[Send] | type[Receive]) -> dict[tuple[str, int],
                                                          list[tuple[ProgramPosition, Send | Receive]]]:
    """Of each channel its sends, or its receives, in the order of the one rank that has them."""
    channels: dict[tuple[str, int], list[tuple[ProgramPosition, Send | Receive]]] = {}
    for at, step in each(programs):
        if isinstance(step, kind):
            channels.setdefault(step.message.channel, []).append((at, step))
    return channels


def check_sent(programs: Programs, positions: ProgramPositions) -> None:
    """A Sent stands only where the message has been received for certain, however the ranks are timed.

    Vector clocks (Fidge 1988, Mattern 1989): each rank knows of each other one how many steps it must have
    done by now, and every message carries the sender's knowledge along. The programs must be able to run to
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
            raise fault(ProgramPosition(rank, number), step,
                        f"comes too early: nothing proves that rank {step.peer} has received it; "
                        f"move it after the receive of something that rank {step.peer} made later")
