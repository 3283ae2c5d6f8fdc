"""The truth about a small schedule, found by running it in every way that it can run.

Ranks take steps on tokens, one at a time, in all interleavings. Nothing is shared with lint: no order of the
checks, no vector clocks, no argument about what timing cannot change. A step is `wrong` if it can never be
right, whatever the others do, and `stuck` if its rank stands there in some end that is not the end of all
programs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from minipar.schedules.instruction import Instruction, Schedule
from minipar.schedules.lower import Message, ProgramStep, Receive, Send, SendCompleted

Steps = Sequence[Sequence[ProgramStep]]
State = tuple[int, ...]  # of each rank, how many steps it has done


class Verdict(NamedTuple):
    """places are (rank, step); legal if there are none. peaks: of kept activations, by rank, if legal."""

    wrong: frozenset[tuple[int, int]]
    stuck: frozenset[tuple[int, int]]
    peaks: tuple[int, ...]

    @property
    def legal(self) -> bool:
        return not self.wrong and not self.stuck


def judge(schedule: Schedule, programs: Steps | None = None, *, synchronous: bool = False) -> Verdict:
    """Of the programs, with their messages; without programs, of the orders, where a value is everywhere once
    it is made.
    """
    world = Programs(schedule, programs,
                     synchronous) if programs is not None else Orders(schedule, schedule.orders)
    wrong = {place for rank in range(len(world.steps)) for place in world.wrong_alone(rank)}
    if wrong:
        return Verdict(frozenset(wrong), frozenset(), ())
    start, end = (0,) * len(world.steps), tuple(map(len, world.steps))
    seen, todo, stuck = {start}, [start], set[tuple[int, int]]()
    peaks = [0] * len(world.steps)
    while todo:
        state = todo.pop()
        wrong |= set(world.wrong_now(state))
        peaks = [max(peak, world.kept(rank, done)) for (rank, done),
                 peak in zip(enumerate(state), peaks, strict=True)]
        after = set(world.next_states(state))
        if not after and state != end:
            stuck |= {(rank, done) for rank, done in enumerate(state) if done < end[rank]}
        todo += after - seen
        seen |= after
    return Verdict(frozenset(wrong), frozenset(stuck), tuple(peaks))


class Orders:
    """A world in which what one rank makes is everywhere at once."""

    def __init__(self, schedule: Schedule, steps: Steps) -> None:
        self.schedule, self.steps = schedule, steps
        self.made = {step for order in steps for step in order if isinstance(step, Instruction)}
        self.kinds = "F" if schedule.forward_only else "FBW" if schedule.split else "FB"

    def inputs(self, step: Instruction) -> Iterator[Instruction]:
        """What must be computed before."""
        kind, stage, micro = step
        if kind == "F" and stage > 0:
            yield Instruction("F", stage - 1, micro)
        if kind == "B":
            yield Instruction("F", stage, micro)
            if stage + 1 < len(self.schedule.stage_to_rank):
                yield Instruction("B", stage + 1, micro)
        if kind == "W":
            yield Instruction("B", stage, micro)

    def home(self, stage: int) -> int | None:
        return self.schedule.stage_to_rank[stage] if 0 <= stage < len(self.schedule.stage_to_rank) else None

    def fits(self, rank: int, step: Instruction) -> bool:
        return (
            step.kind in self.kinds
            and self.home(step.stage) == rank
            and 0 <= step.micro < self.schedule.micro_batches
        )

    def asked_of(self, rank: int) -> int:
        """How many instructions it must have done in the end."""
        return len(self.kinds) * self.schedule.micro_batches * self.schedule.stage_to_rank.count(rank)

    def wrong_alone(self, rank: int) -> Iterator[tuple[int, int]]:
        """The first step that fails even in a world where all that others make at some time is there from the
        start.
        """
        done: set[Instruction] = set()
        for number, step in enumerate(self.steps[rank]):
            here = done | {other for other in self.made if self.home(other.stage) != rank}
            if not self.fits(rank, step) or step in done or not here >= set(self.inputs(step)):  # type: ignore[arg-type]
                yield rank, number
                return
            done.add(step)  # type: ignore[arg-type]
        if len(done) < self.asked_of(rank):
            yield rank, len(self.steps[rank])

    def wrong_now(self, state: State) -> Iterator[tuple[int, int]]:
        """What only shows while the ranks run."""
        return iter(())

    def next_states(self, state: State) -> Iterator[State]:
        """After one step of one of the ranks that can take one."""
        done = {step for order, count in zip(self.steps, state, strict=True) for step in order[:count]}
        for rank, count in enumerate(state):
            if count < len(self.steps[rank]) and done >= set(self.inputs(self.steps[rank][count])):  # type: ignore[arg-type]
                yield advanced(state, rank)

    def kept(self, rank: int, count: int) -> int:
        """Activations just before the last of these steps is over: what it releases is still there."""
        steps = [step for step in self.steps[rank][:count] if isinstance(step, Instruction)]
        released = {step[1:] for step in steps[:-1] if step.kind == self.kinds[-1]}
        return len({step[1:] for step in steps if step.kind == "F"} - released)


class Programs(Orders):
    """A world in which values travel in messages, those of one channel from one rank to another in turn."""

    def __init__(self, schedule: Schedule, steps: Steps, synchronous: bool) -> None:
        super().__init__(schedule, steps)
        self.synchronous = synchronous

    def ends(self, message: Message) -> tuple[int | None, int | None]:
        """The ranks that make and that need it."""
        return self.home(message.source), self.home(message.source + (1 if message.what == "x" else -1))

    def wrong_alone(self, rank: int) -> Iterator[tuple[int, int]]:
        """The first step that fails even if every receive brings what it names, provided that somebody sends
        it.
        """
        done: set[Instruction] = set()
        got: set[Message] = set()
        sent: list[Message] = []
        gone: list[Message] = []
        for number, step in enumerate(self.steps[rank]):
            if isinstance(step, Instruction):
                fits = self.fits(rank, step) and step not in done and all(
                    value in done or Message("x" if value.kind == "F" else "g", value.stage,
                                             value.micro) in got
                    for value in self.inputs(step))
                done.add(step)
            elif isinstance(step, Send):
                maker = Instruction("F" if step.message.what == "x" else "B", step.message.source,
                                    step.message.micro)
                addressed = self.ends(step.message) == (rank, step.peer) and step.peer != rank
                fits = addressed and maker in done and step.message not in sent
                sent.append(step.message)
            elif isinstance(step, Receive):
                fits = self.ends(step.message) == (step.peer, rank) and step.message not in got and any(
                    isinstance(other, Send) and other.message == step.message for program in self.steps
                    for other in program)
                got.add(step.message)
            else:
                fits = (
                    step.message in sent
                    and step.message not in gone
                    and self.ends(step.message) == (rank, step.peer)
                )
                gone.append(step.message)
            if not fits:
                yield rank, number
                return
        if len(done) < self.asked_of(rank):
            yield rank, len(self.steps[rank])

    def link(self, kind: type, rank: int, count: int, peer: int, channel: tuple[str, int]) -> list[Message]:
        """The messages that this rank has sent to, or received from, the peer by then."""
        return [step.message for step in self.steps[rank][:count]
                if isinstance(step, kind) and step.peer == peer and step.message.channel == channel]

    def waiting(self, state: State, rank: int, receive: Receive) -> list[Message]:
        """What is under way to this receive, oldest first."""
        posted = self.link(Send, receive.peer, state[receive.peer], rank, receive.message.channel)
        return posted[len(self.link(Receive, rank, state[rank], receive.peer, receive.message.channel)):]

    def wrong_now(self, state: State) -> Iterator[tuple[int, int]]:
        """A receive that gets another message than it names; a SendCompleted that comes while its message is
        in flight.
        """
        for rank, count in enumerate(state):
            step = self.steps[rank][count] if count < len(self.steps[rank]) else None
            if isinstance(step, Receive) and (queue := self.waiting(state, rank,
                                                                    step)) and queue[0] != step.message:
                yield rank, count
            if isinstance(step, SendCompleted) and step.message not in self.link(
                    Receive, step.peer, state[step.peer], rank, step.message.channel):
                yield rank, count

    def next_states(self, state: State) -> Iterator[State]:
        for rank, count in enumerate(state):
            if count == len(self.steps[rank]):
                continue
            step = self.steps[rank][count]
            if not isinstance(step, Send | Receive) or isinstance(step, Send) and not self.synchronous:
                yield advanced(state, rank)
            elif isinstance(step, Receive) and not self.synchronous:
                if self.waiting(state, rank, step):
                    yield advanced(state, rank)
            elif isinstance(step, Send):
                peer = self.steps[step.peer]
                other = peer[state[step.peer]] if state[step.peer] < len(peer) else None
                if (
                    isinstance(other, Receive)
                    and other.peer == rank
                    and other.message.channel == step.message.channel
                ):
                    yield advanced(advanced(state, rank), step.peer)


def advanced(state: State, rank: int) -> State:
    return (*state[:rank], state[rank] + 1, *state[rank + 1:])
