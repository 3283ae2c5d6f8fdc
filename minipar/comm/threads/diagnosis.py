"""Adds details to the states of all ranks, for the text of an error. The caller holds the world's lock."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from minipar.comm.deadlock.wait_graph import State
from minipar.comm.diagnostics.call_site import location_of
from minipar.comm.diagnostics.requests import together
from minipar.comm.protocol import ANY, TAGS, Request

if TYPE_CHECKING:
    from minipar.comm.threads.world import World


def with_details(world: World, states: Sequence[State]) -> list[State]:
    """Returns the states with two additions: the current line of each computing rank, and messages that
    arrived with a tag for which no receive waits.
    """
    frames = sys._current_frames()
    found = []
    asked = [world.waited.get(rank) or next(iter(polling.requests), None)
             for rank, polling in enumerate(world.polls)]
    for state, request, thread in zip(states, asked, world.threads, strict=True):
        if state.doing == "running" and thread is not None and thread.ident in frames:
            state = replace(state, location=location_of(frames[thread.ident]))
        elif request is not None and request.kind != "send":
            state = replace(state, detail=together(state.detail, _strays(world, request)))
        found.append(state)
    return found


def _strays(world: World, request: Request) -> str:
    """Returns a text about a message that does not have the tag of the request, or "" if there is none."""
    channel = request.handle.channel
    if request.type_code is None:
        tags = sorted(other.tag for other, queue in world.sent.items() if queue
                      and other[:3] == channel[:3]
                      and other.tag < TAGS)
        return f"a message came with tag {tags[0]}" if tags else ""
    letters = world.mailboxes[channel.group, channel.dest].letters
    came = next((letter.envelope for letter in letters if request.peer in (ANY, letter.envelope.source)),
                None)
    return f"a message came with tag {came.tag}" if came else ""
