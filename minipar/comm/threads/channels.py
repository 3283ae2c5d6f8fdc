"""Channels between ranks that are threads. A channel is a queue of messages that have no receive yet, or of
receives that have no message yet.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import NamedTuple

from minipar.comm.protocol import Request

# The key of a new group: its parent group's number, the number of the call, and its ranks. `World.number_of`
# gives each key a number. Channels use this number, since its hash takes the same time for any number of
# ranks.
GroupKey = tuple[Hashable, ...]
WORLD = 0                                       # the number of the group of all ranks


class MailboxKey(NamedTuple):
    """The key of a channel: the number of the group, the sender and the receiver in the group, and the tag.
    """

    group: int
    source: int
    dest: int
    tag: int


# The requests of each channel, in the order of their calls. A channel without requests has no entry, because
# every collective uses new channels.
Queues = dict[MailboxKey, deque[Request]]


def put(queues: Queues, channel: MailboxKey, request: Request) -> None:
    """Add a request to the end of its channel's queue."""
    queue = queues.get(channel)
    if queue is None:
        queues[channel] = deque((request,))
    else:
        queue.append(request)


def take(queues: Queues, channel: MailboxKey) -> Request | None:
    """Remove and return the first request of a channel. Returns None if there is none."""
    queue = queues.get(channel)
    if queue is None:
        return None
    request = queue.popleft()
    if not queue:
        del queues[channel]
    return request
