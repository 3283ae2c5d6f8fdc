"""The books of one rank: what it sent, what it asked for, what it never waited for. Compared when a job ends.

A message that nobody receives is a mistake that small runs hide: the library's buffers hold it until one day it is too large.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from minipar.comm.caller import caller
from minipar.comm.protocol import TAGS, Communicator, Request

Channel = tuple[str, int, int, int]                                 # group, from, to (world ranks), tag
OURS = -1                                                           # stands for the tags of all collectives


class Ledger:
    """The books of world rank `rank`, over all groups it belongs to."""

    def __init__(self, rank: int) -> None:
        self.rank = rank
        self.sent: Counter[Channel] = Counter()
        self.received: Counter[Channel] = Counter()
        self.last: dict[Channel, tuple[str, str]] = {}              # the label and place of the last message sent
        self.open: dict[Request, tuple[int, str]] = {}              # not yet waited for -> partner and place of its start

    def start(self, comm: Communicator, request: Request) -> None:
        peer, tag = comm.members[request.peer], request.tag if request.tag < TAGS else OURS
        _, place = caller()
        self.open[request] = peer, place
        if request.kind == "send":
            channel = comm.name, self.rank, peer, tag
            self.sent[channel] += 1
            self.last[channel] = request.why, place
        else:
            self.received[comm.name, peer, self.rank, tag] += 1

    def settle(self, request: Request) -> None:
        self.open.pop(request, None)

    def page(self) -> dict[str, list]:
        """What the others need to know, as plain data that JSON can carry."""
        return {
            "sent": [[*channel, count, *self.last[channel]] for channel, count in self.sent.items()],
            "received": [[*channel, count] for channel, count in self.received.items()],
            "open": [[self.rank, request.kind, peer, request.why, place] for request, (peer, place) in self.open.items()],
        }


def loose_ends(pages: Sequence[dict[str, list]]) -> list[str]:
    """What a job that has ended left undone, in words, one entry per request or channel."""
    found = [f"rank {rank} never waited for its {kind} with rank {peer} '{why}' started at {place}"
             for page in pages for rank, kind, peer, why, place in page["open"]]
    received: dict[Any, int] = {tuple(channel): count for page in pages for *channel, count in page["received"]}
    for page in pages:
        for *channel, count, why, place in page["sent"]:
            if (lost := count - received.get(tuple(channel), 0)) > 0:
                _, source, dest, tag = channel
                messages = "a message" if lost == 1 else f"{lost} messages, the last"
                label = f" (tag {tag})" if tag > 0 else ""
                found.append(f"rank {dest} never received {messages} from rank {source} '{why}'{label} sent at {place}")
    return found
