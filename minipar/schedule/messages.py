"""What the ranks' programs must say to each other: no receive without a send, and none out of turn."""

from __future__ import annotations

from minipar.schedule.contents import Place, Places, Steps, each, fault, key, not_before
from minipar.schedule.instruction import Instruction
from minipar.schedule.lower import Receive, Send, Sent
from minipar.schedule.progress import execution


def check_messages(programs: Steps, places: Places) -> None:
    """Every message is made before it is sent, sent if it is received, and received in the order of its channel.

    places: of all steps, after `check_instructions`, by which everything that is needed is received. Raises ScheduleError.
    """
    for place, step in each(programs):
        if isinstance(step, Instruction):
            continue
        message, peer = step.message, step.peer
        maker = Instruction("F" if message.what == "x" else "B", message.source, message.micro)
        if isinstance(step, Send) and (problem := not_before(place, maker, places)) is not None:
            raise fault(place, step, f"has nothing to send: {problem}")
        if isinstance(step, Sent) and (problem := not_before(place, Send(message, peer), places)) is not None:
            raise fault(place, step, f"comes too early: {problem}")
        if isinstance(step, Receive) and key(Send(message, place.rank)) not in places:
            raise fault(place, step, f"waits for ever: rank {peer} never sends it; add the send there, after {maker}")
    _check_turns(programs)


def _check_turns(programs: Steps) -> None:
    """A channel hands its messages over in the order in which they are sent, whatever the receiver believes to take."""
    sends, receives = (_by_channel(programs, kind) for kind in (Send, Receive))
    for channel, takes in receives.items():
        for (place, receive), (other, send) in zip(takes, sends[channel], strict=True):
            if receive.message != send.message:
                raise fault(place, receive, f"gets {send.message}, which rank {other.rank} sends before it, in step {other.step}; "
                            f"receive what a stage sends in the order in which it is sent")


def _by_channel(programs: Steps, kind: type[Send] | type[Receive]) -> dict[tuple[str, int], list[tuple[Place, Send | Receive]]]:
    """Of each channel its sends, or its receives, in the order of the one rank that has them."""
    channels: dict[tuple[str, int], list[tuple[Place, Send | Receive]]] = {}
    for place, step in each(programs):
        if isinstance(step, kind):
            channels.setdefault(step.message.channel, []).append((place, step))
    return channels


def check_sent(programs: Steps, places: Places) -> None:
    """A Sent stands only where the message has been received for certain, however the ranks are timed.

    Vector clocks (Fidge 1988, Mattern 1989): each rank knows of each other one how many steps it must have done by now, and
    every message carries the sender's knowledge along. The programs must be able to run to their end. Raises ScheduleError.
    """
    known = [[0] * len(programs) for _ in programs]
    carried: dict[object, list[int]] = {}
    for rank, number in execution(programs, synchronous=False):
        step = programs[rank][number]
        known[rank][rank] = number + 1
        if isinstance(step, Send):
            carried[step.message] = known[rank].copy()
        if isinstance(step, Receive):
            known[rank] = [max(pair) for pair in zip(known[rank], carried.pop(step.message), strict=True)]
        if isinstance(step, Sent) and known[rank][step.peer] <= places[key(Receive(step.message, rank))].step:
            raise fault(Place(rank, number), step, f"comes too early: nothing proves that rank {step.peer} has received it; "
                        f"move it after the receive of something that rank {step.peer} made later")
