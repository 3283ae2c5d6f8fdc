"""What one rank saw of a step: every instruction of its program, by its clock, or the memory that was held
after it.
"""

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
    """begin, end: seconds since the step began. queued: of these, until the link had room for the first
    message that the instruction sends within its stage; talking: until its last such message was there. Both
    are known where the clock counts FLOPs, which pass when all messages are through.
    """

    instruction: Instruction
    begin: Fraction
    end: Fraction
    queued: Fraction = Fraction(0)
    talking: Fraction = Fraction(0)


class Tracer:
    """Give `watch` to a Trainer, set `on` to "time" or to "memory" before a step, and read what it has found.

    flops(instruction, execution): the work that the clock is told of, where it counts FLOPs.
    """

    def __init__(self, clock: Clock, flops: Callable[[Instruction, Execution], int]):
        self.clock, self.flops = clock, flops
        self.on = ""
        self.intervals: list[Interval] = []
        self.activations = self.messages = 0  # bytes, the most that was held after an instruction

    @contextmanager
    def watch(self, instruction: Instruction, execution: Execution) -> Iterator[None]:
        begin, before = self.clock.now, len(self.clock.timeline)
        yield
        if self.on == "time":
            sent = min((Fraction(event.begin) for event in self.clock.timeline[before:]
                        if event.kind == "send"), default=begin)
            talked = self.clock.now
            self.clock.compute(self.flops(instruction, execution), str(instruction))
            self.intervals.append(Interval(instruction, begin, self.clock.now, sent - begin, talked - sent))
        elif self.on == "memory":
            losses = sum(out.data.nbytes for out in execution.tapes.values() if out.ndim == 0)
            held = held_bytes(*execution.tapes.values(), *execution.deferred.values())
            self.activations = max(self.activations, held + losses)
            waiting = [*execution.values.values(), *(request.array for request in execution.sending.values())]
            self.messages = max(self.messages, sum(array.nbytes for array in waiting))
