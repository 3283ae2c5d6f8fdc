"""Records one rank: the clock's times of every instruction, or the memory after every instruction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction

from minipar.autograd.tape_bytes import held_bytes
from minipar.comm.wrappers.clock import Clock
from minipar.parallel.pipeline import Execution
from minipar.schedules.instruction import Instruction


@dataclass(frozen=True)
class Interval:
    """Holds the times of one instruction, in seconds.

    begin, end: seconds since the start of the step. queued: the time from `begin` until the link is free for
    the first message of the instruction within its stage. talking: the time after that, until all messages of
    the instruction have arrived. queued and talking are exact if the clock counts FLOPs, because then the
    computation is added after all messages.

    Example: the instruction begins at 10, the link is free at 12, the messages have arrived at 15, and the
    FLOPs take 5 seconds. Then queued = 2, talking = 3 and end = 20.
    """

    instruction: Instruction
    begin: Fraction
    end: Fraction
    queued: Fraction = Fraction(0)
    talking: Fraction = Fraction(0)


class Tracer:
    """Records the steps of a Trainer. Pass `watch` to the Trainer. Before a step, set `on` to a tuple with
    "time", "memory", or both. The attributes `intervals`, `activations` and `messages` hold the results.

    flops(instruction, execution): returns the FLOPs of an instruction, for a clock that counts FLOPs.
    """

    def __init__(self, clock: Clock, flops: Callable[[Instruction, Execution], int]):
        self.clock, self.flops = clock, flops
        self.on: tuple[str, ...] = ()
        self.intervals: list[Interval] = []
        self.activations = self.messages = 0  # bytes, the maximum over all instructions

    @contextmanager
    def watch(self, instruction: Instruction, execution: Execution) -> Iterator[None]:
        begin, before = self.clock.now, len(self.clock.timeline)
        yield
        if "time" in self.on:
            sent = min((Fraction(event.begin) for event in self.clock.timeline[before:]
                        if event.kind == "send"), default=begin)
            talked = self.clock.now
            self.clock.compute(self.flops(instruction, execution), str(instruction))
            self.intervals.append(Interval(instruction, begin, self.clock.now, sent - begin, talked - sent))
        if "memory" in self.on:
            losses = sum(out.data.nbytes for out in execution.tapes.values() if out.ndim == 0)
            held = held_bytes(*execution.tapes.values(), *execution.deferred.values())
            self.activations = max(self.activations, held + losses)
            waiting = [*execution.values.values(), *(request.array for request in execution.sending.values())]
            self.messages = max(self.messages, sum(array.nbytes for array in waiting))
