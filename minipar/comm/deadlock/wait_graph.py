"""The roll call: what every rank is doing, in words, and which ranks can never go on.

A rank in `wait` waits for one partner, a rank that tests several requests for any of them: the ranks form a
graph whose arrows say "waits for". A rank can never go on if no path leads from it to a rank that can (Knapp
1987, "Deadlock detection in distributed databases": the OR model). Engines collect the `State` of each rank
in their own way; what follows from them is worked out here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LEFT = {"finished": "has finished", "failed": "has raised an error", "gone": "is gone"}
SEEN = LEFT | {"running": "is computing", "testing": "is computing and testing", "stopped": "is stopped",
               "outside": "is outside of `with job()`", "unknown": "is on another host, out of sight"}


@dataclass(frozen=True)
class State:
    """What one rank is doing. `peer` is the world rank it waits for, where it waits; `others`, if any of
    these will do, too.
    """

    doing: str = "running"                                          # a key of SEEN, or "waiting", "within"
    peer: int | None = None
    group: str = ""  # of its communicator, unless that is the world
    kind: str = ""  # the message it waits for: "recv" or "send"
    tag: int | None = None  # of a program's own message, not of a collective
    operation: str = ""  # what the program called: "recv", "all_reduce", "barrier"
    label: str = ""
    place: str = ""                                                 # "train.py:88"
    detail: str = ""  # what else is known: "kill -CONT 1234 lets it go on"
    others: Sequence[int] = ()

    @property
    def peers(self) -> set[int]:
        return set(self.others) if self.peer is None else {self.peer, *self.others}


def say(rank: int, state: State) -> str:
    """One rank in words: "rank 2 waits in recv(source=1) 'pipeline forward 3' at train.py:88"."""
    detail = f" ({state.detail})" if state.detail else ""
    if state.doing == "within":
        label = f" '{state.label}'" * bool(state.label)
        return f"rank {rank} is in {state.operation}{label} at {state.place}, within the MPI library"
    if state.doing not in ("waiting", "testing"):
        return f"rank {rank} {SEEN[state.doing]}{' at ' * bool(state.place)}{state.place}{detail}"
    peer = "ANY_SOURCE" if state.peer is None else state.peer
    tag = f", tag={state.tag}" if state.tag is not None and state.tag > 0 else ""
    ours = f"{'dest' if state.kind == 'send' else 'source'}={peer}{tag}"
    label = f"'{state.label}' " * bool(state.label)
    what = label + f"of group '{state.group}' " * bool(state.group) + f"at {state.place}{detail}"
    if state.operation == "test":
        how = "waits in test of" if state.doing == "waiting" else "is computing, and tests"
        more = f", and messages of rank {', '.join(map(str, sorted(state.others)))}" if state.others else ""
        return f"rank {rank} {how} {state.kind}({ours}) {what}{more}"
    if state.operation.lower() in ("send", "recv", "probe"):
        return f"rank {rank} waits in {state.operation}({ours}) {what}"
    return f"rank {rank} is in {state.operation} {what}, in its {state.kind}({ours})"


def stuck(states: Sequence[State]) -> set[int]:
    """The ranks that can never go on: those that wait, and from which no path of partners leads to a rank
    that does not.
    """
    waiting = {rank for rank, state in enumerate(states) if state.doing == "waiting"}
    able = {rank for rank, state in enumerate(states) if state.doing not in LEFT} - waiting
    while freed := {rank for rank in waiting - able if states[rank].peers & able}:
        able |= freed
    return waiting - able


def cycle(states: Sequence[State]) -> list[int]:
    """The ranks that wait for one another in a ring, [] if there is none: [0, 1] says 0 waits for 1 and 1 for
    0.
    """
    for start in range(len(states)):
        path: list[int] = []
        rank: int | None = start
        while rank is not None and states[rank].doing == "waiting" and rank not in path:
            path.append(rank)
            rank = states[rank].peer
        if rank in path:
            return path[path.index(rank):]
    return []


def roll_call(states: Sequence[State]) -> str:
    """The diagnosis and then every rank, in one line."""
    everyone = "; ".join(say(rank, state) for rank, state in enumerate(states))
    if ring := cycle(states):
        if len(ring) == 1:
            return f"deadlock, rank {ring[0]} waits for itself: {everyone}"
        return (
            f"deadlock, a cycle of waiting {' -> '.join(str(rank) for rank in [*ring, ring[0]])}: {everyone}"
        )
    away = sorted({rank for start in stuck(states) for rank in [_last(states, start)]
                   if states[rank].doing in LEFT})
    if away:
        return f"the partner has left, rank {', '.join(map(str, away))}: {everyone}"
    if lost := stuck(states):
        left = all(states[peer].doing in LEFT for rank in lost for peer in states[rank].peers)
        cause = "all partners have left" if left else "deadlock, all ranks that could send wait themselves"
        return f"{cause}: {everyone}"
    return everyone


def _last(states: Sequence[State], rank: int) -> int:
    """The rank at the end of the path from `rank`: one that does not wait, or waits for any of several."""
    path = {rank}
    while states[rank].doing == "waiting" and (peer := states[rank].peer) is not None and peer not in path:
        path.add(rank := peer)
    return rank
