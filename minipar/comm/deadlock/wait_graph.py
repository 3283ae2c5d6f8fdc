"""The wait graph. It finds the deadlocked ranks and describes the state of every rank in words.

A rank in `wait` waits for one partner. A rank that tests several requests waits for any of their partners.
The ranks are the nodes of a graph with an edge from each waiting rank to each of its partners. A rank is
deadlocked if no path leads from it to a rank that can continue (Knapp 1987, "Deadlock detection in
distributed databases": the OR model). Each engine collects the `State` of each rank in its own way. This
module analyses the states.

Example: rank 0 waits for 1, 1 waits for 2, 2 waits for 1, 3 computes, 4 waits for 2 or 3.

    >>> states = [State("waiting", 1), State("waiting", 2), State("waiting", 1), State(),
    ...           State("waiting", 2, others=[3])]
    >>> stuck(states), cycle(states)
    ({0, 1, 2}, [1, 2])

Rank 4 can continue, since rank 3 may send to it. Ranks 1 and 2 form a cycle, and rank 0 waits for the cycle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

TOLD = 32  # with at most this number of ranks, each rank is described on its own
FIRST = 8  # with more than TOLD ranks, only this number of ranks of a cycle are described on their own
LEFT = {"finished": "has finished", "failed": "has raised an error", "gone": "is gone"}
SEEN = LEFT | {"running": "is computing", "testing": "is computing and testing", "stopped": "is stopped",
               "outside": "is outside of `with job()`", "unknown": "is on another host, its state unknown"}


@dataclass(frozen=True)
class State:
    """The state of one rank. peer: the world rank for whose message the rank waits. others: more ranks whose
    messages would also end the wait.
    """

    doing: str = "running"                                          # a key of SEEN, or "waiting", "within"
    peer: int | None = None
    group: str = ""  # name of the communicator, "" for the world
    kind: str = ""  # kind of the request: "recv" or "send"
    tag: int | None = None  # tag of the program's message, None for a collective
    operation: str = ""  # the function that the program called: "recv", "all_reduce", "barrier"
    label: str = ""
    location: str = ""                                                 # "train.py:88"
    detail: str = ""  # more information: "kill -CONT 1234 lets it go on"
    others: Sequence[int] = ()

    @property
    def peers(self) -> set[int]:
        return set(self.others) if self.peer is None else {self.peer, *self.others}


def say(rank: int, state: State) -> str:
    """Returns the state of one rank in words: "rank 2 waits in recv(source=1) 'pipeline forward 3' at
    train.py:88".
    """
    detail = f" ({state.detail})" if state.detail else ""
    if state.doing == "within":
        label = f" '{state.label}'" * bool(state.label)
        return f"rank {rank} is in {state.operation}{label} at {state.location}, within the MPI library"
    if state.doing not in ("waiting", "testing"):
        return f"rank {rank} {SEEN[state.doing]}{' at ' * bool(state.location)}{state.location}{detail}"
    peer = "ANY_SOURCE" if state.peer is None else state.peer
    tag = f", tag={state.tag}" if state.tag is not None and state.tag > 0 else ""
    ours = f"{'dest' if state.kind == 'send' else 'source'}={peer}{tag}"
    label = f"'{state.label}' " * bool(state.label)
    what = label + f"of group '{state.group}' " * bool(state.group) + f"at {state.location}{detail}"
    if state.operation == "test":
        how = "waits in test of" if state.doing == "waiting" else "is computing, and tests"
        more = f", and messages of rank {', '.join(map(str, sorted(state.others)))}" if state.others else ""
        return f"rank {rank} {how} {state.kind}({ours}) {what}{more}"
    if state.operation.lower() in ("send", "recv", "probe"):
        return f"rank {rank} waits in {state.operation}({ours}) {what}"
    return f"rank {rank} is in {state.operation} {what}, in its {state.kind}({ours})"


def stuck(states: Sequence[State]) -> set[int]:
    """Returns the deadlocked ranks. From these waiting ranks, no path in the graph leads to a rank that can
    continue.
    """
    waiting = {rank for rank, state in enumerate(states) if state.doing == "waiting"}
    able = {rank for rank, state in enumerate(states) if state.doing not in LEFT} - waiting
    while freed := {rank for rank in waiting - able if states[rank].peers & able}:
        able |= freed
    return waiting - able


def is_stuck(states: Sequence[State], rank: int) -> bool:
    """Returns whether a waiting rank is deadlocked. The result is the same as `rank in stuck(states)`. This
    function follows only the paths from this rank, which are usually short. So its cost does not depend on
    the number of ranks.

    >>> is_stuck([State("waiting", 1), State()], 0), is_stuck([State("waiting", 1), State("finished")], 0)
    (False, True)
    """
    at = rank
    for _ in states:  # most ranks wait for one partner, so the path has no branches
        peer = states[at].peer
        if peer is None or states[at].others:
            return _all_paths_are_stuck(states, at)
        at = peer
        if states[at].doing != "waiting":
            return states[at].doing in LEFT
    return True                                                     # the path has returned to an earlier rank


def _all_paths_are_stuck(states: Sequence[State], rank: int) -> bool:
    seen, todo = {rank}, [rank]
    while todo:
        for peer in states[todo.pop()].peers:
            doing = states[peer].doing
            if doing == "waiting":
                if peer not in seen:
                    seen.add(peer)
                    todo.append(peer)
            elif doing not in LEFT:
                return False
    return True


def cycle(states: Sequence[State]) -> list[int]:
    """Returns the first cycle of waiting ranks; [] if there is none. Example: [0, 1] if rank 0 waits for rank
    1 and rank 1 waits for rank 0.
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
    """Returns one line with the diagnosis and the state of every rank. With more than TOLD ranks, the ranks
    of the cycle come first. Then ranks with the same state are named together.
    """
    ring = cycle(states)
    everyone = _everyone(states) if len(states) <= TOLD else _summed_up(states, ring[:FIRST])
    if ring:
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
        cause = "all partners have left" if left else "deadlock, all ranks that could send are waiting"
        return f"{cause}: {everyone}"
    return everyone


def _everyone(states: Sequence[State]) -> str:
    return "; ".join(say(rank, state) for rank, state in enumerate(states))


def _summed_up(states: Sequence[State], first: Sequence[int]) -> str:
    """Returns the states of many ranks in one line. Each rank of `first` is described as in `say`. Other
    ranks with the same state are named together: "ranks 3 to 900, 902: in all_reduce 'gradients' at
    train.py:88".
    """
    told = [say(rank, states[rank]) for rank in first]
    alike: dict[str, list[int]] = {}
    for rank, state in enumerate(states):
        if rank not in first:
            alike.setdefault(_without_partner(state), []).append(rank)
    groups = [f"rank{'s' * (len(ranks) > 1)} {_ranges(ranks)}: {words}" for words, ranks in alike.items()]
    more = f"; and {len(groups) - TOLD} more states" if len(groups) > TOLD else ""
    return "; ".join(told + groups[:TOLD]) + more


def _without_partner(state: State) -> str:
    """Returns a text that names neither the rank nor its partner: "in all_reduce 'gradients' at train.py:88".
    """
    label, location = f" '{state.label}'" * bool(state.label), f" at {state.location}" * bool(state.location)
    if state.doing in ("waiting", "testing", "within"):
        return f"in {state.operation}{label}{location}"
    return SEEN[state.doing].removeprefix("is ").removeprefix("has ") + location


def _ranges(ranks: Sequence[int]) -> str:
    """Returns the sorted ranks as a text.

    >>> _ranges([3, 4, 5, 9])
    '3 to 5, 9'
    """
    breaks = [0, *(n for n in range(1, len(ranks)) if ranks[n] != ranks[n - 1] + 1), len(ranks)]
    runs = [(ranks[start], ranks[end - 1]) for start, end in pairwise(breaks)]
    shown = ", ".join(str(low) if low == high else f"{low} to {high}" for low, high in runs[:TOLD])
    return shown + ", ..." * (len(runs) > TOLD)


def _last(states: Sequence[State], rank: int) -> int:
    """Returns the last rank of the path from `rank` along `peer`. The path ends at a rank that does not wait,
    at a rank without a peer, or before a rank that is already on the path.
    """
    path = {rank}
    while states[rank].doing == "waiting" and (peer := states[rank].peer) is not None and peer not in path:
        path.add(rank := peer)
    return rank
