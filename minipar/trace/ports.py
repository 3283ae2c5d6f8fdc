"""Simulates the links of a pipeline's ranks like the virtual clock: a rank sends at most one message and
receives at most one message at a time.

With tensor parallelism, an instruction begins with messages to the other ranks of its stage. These messages
wait until the rank has sent its message to the next stage. A message from another stage, in turn, waits until
these messages have arrived. The prediction must include these waits. Otherwise it would count the waiting
time as computing time.

Example: a message to the next stage occupies the link until t = 5. An instruction is ready at t = 3, and its
messages within the stage take 2 seconds. They occupy the link from 5 to 7, so the instruction begins at t =
5.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from minipar.comm.wrappers.network import Port
from minipar.records import Number
from minipar.schedules.instruction import Instruction


class Ports:
    """Implements `LinkQueues` for `simulate`.

    talking: (kind, stage) -> the seconds for which an instruction's messages within its stage occupy the
    link, in both directions. The messages begin with the instruction.
    """

    def __init__(self, ranks: int, talking: Mapping[tuple[str, int], Fraction]) -> None:
        self.outgoing, self.incoming = [Port() for _ in range(ranks)], [Port() for _ in range(ranks)]
        self.talking = talking

    def begins(self, rank: int, instruction: Instruction, ready: Number) -> Number:
        duration = self.talking.get((instruction.kind, instruction.stage), Fraction(0))
        if not duration:
            return ready
        begin = self.outgoing[rank].carry(Fraction(ready), duration) - duration
        self.incoming[rank].carry(begin, duration)
        return begin

    def leaves(self, rank: int, ready: Number, time: Number) -> Number:
        return self.outgoing[rank].carry(Fraction(ready), Fraction(time))

    def arrives(self, rank: int, left: Number, time: Number) -> Number:
        return self.incoming[rank].carry(Fraction(left) - Fraction(time), Fraction(time))
