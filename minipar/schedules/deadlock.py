"""Tests whether all ranks can run their programs to the end, or whether there is a deadlock.

A program is the list of instructions, sends and receives of one rank. After an asynchronous send, the program
continues immediately. A synchronous send waits until the other rank receives. A blocking send of MPI also
waits if the message is larger than the library's buffer. Every receive names its sender and its channel. So
the result does not depend on the timing of the ranks (Kahn 1974), and one run is enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from minipar.schedules.contents import Programs, name, stage_of
from minipar.schedules.instruction import Instruction
from minipar.schedules.lower import Message, ProgramStep, Receive, Send


class Wait(NamedTuple):
    """Describes a rank that cannot continue before another rank continues. step: the position in its order or
    program at which the rank waits. text: the waiting step and the event that it waits for.
    """

    rank: int
    stage: int
    step: int
    text: str

    def __str__(self) -> str:
        return f"rank {self.rank}, stage {self.stage}, step {self.step}: {self.text}"


def execution(programs: Programs, *, synchronous: bool) -> Iterator[tuple[int, int]]:
    """Yields the steps as (rank, number) in one possible order of execution, until all ranks have ended or
    are blocked.

    With synchronous sends, a send and its receive happen at the same time, and the send is yielded first. The
    programs must have passed `check_turns`.
    """
    at, sent = [0] * len(programs), set[Message]()
    todo = list(range(len(programs)))
    while todo:
        rank = todo.pop()
        while at[rank] < len(programs[rank]) and (movers := _movers(programs, at, rank, None if synchronous
                                                                    else sent)):
            step = programs[rank][at[rank]]
            for mover in movers:
                yield mover, at[mover]
                at[mover] += 1
            if isinstance(step, Send | Receive):
                sent.add(step.message)
                todo.append(step.peer)                              # the peer may have waited for this step


def _movers(programs: Programs, at: Sequence[int], rank: int, sent: set[Message] | None) -> tuple[int, ...]:
    """Returns the ranks that execute their next step together with this rank. The result is empty if this
    rank must wait. sent: the messages sent so far; None for synchronous sends.
    """
    step = programs[rank][at[rank]]
    if not isinstance(step, Send | Receive) or (sent is not None and isinstance(step, Send)):
        return (rank,)
    if sent is not None:
        return (rank,) if step.message in sent else ()
    wanted = Receive if isinstance(step, Send) else Send
    stands_at = programs[step.peer][at[step.peer]] if at[step.peer] < len(programs[step.peer]) else None
    if not isinstance(stands_at, wanted) or stands_at.message != step.message:
        return ()
    return (rank, step.peer) if isinstance(step, Send) else (step.peer, rank)


def deadlock(programs: Programs, *, synchronous: bool, orders: bool) -> tuple[Wait, ...]:
    """Returns a cycle of ranks in which each rank waits for the next one. The lowest rank is first. The
    result is empty if all programs end.

    orders: if true, `Wait.step` is an index in the order of the rank, which has only instructions. If false,
    it is an index in the program of the rank, which also has sends and receives.
    """
    at = [0] * len(programs)
    for rank, number in execution(programs, synchronous=synchronous):
        at[rank] = number + 1
    stuck = {rank: step for rank, program in enumerate(programs) for step in program[at[rank]:at[rank] + 1]
             if isinstance(step, Send | Receive)}                   # other steps do not wait
    if not stuck:
        return ()
    chain: dict[int, int] = {}  # rank -> its index in the chain of waiting ranks
    peer = min(stuck)
    while peer not in chain:  # each waiting rank waits for a waiting rank
        chain[peer] = len(chain)
        peer = stuck[peer].peer
    ring = list(chain)[chain[peer]:]
    first = ring.index(min(ring))
    return tuple(_wait(rank, stuck[rank], programs[rank], at[rank], orders)
                 for rank in ring[first:] + ring[:first])


def _wait(rank: int, step: Send | Receive, program: Sequence[ProgramStep], number: int, orders: bool) -> Wait:
    if not orders:
        what_for = f"for rank {step.peer}{' to receive it' if isinstance(step, Send) else ''}"
        return Wait(rank, stage_of(step), number, f"{name(step)} waits {what_for}")
    # a send follows the instruction that computes its value
    ahead = program[number::-1] if isinstance(step, Send) else program[number:]
    instruction = next(other for other in ahead if isinstance(other, Instruction))
    index = sum(isinstance(other, Instruction) for other in program[:number]) - isinstance(step, Send)
    what_for = (f"rank {step.peer} to receive {step.message}"
                if isinstance(step, Send)
                else f"{step.message} from rank {step.peer}")
    return Wait(rank, instruction.stage, index, f"{name(instruction)} waits for {what_for}")
