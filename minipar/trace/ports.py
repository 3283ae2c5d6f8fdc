"""The links of a pipeline's ranks as the clock has them: a rank sends one message at a time, and receives one
at a time.

Under tensor parallelism an instruction begins with messages to the other ranks of its stage. They wait until
what the rank sent to the next stage is through, and what comes from another stage meanwhile waits for them.
Without this a prediction takes an instruction that waited for the link for one that works longer, or the
other way round.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from minipar.comm.wrappers.network import Port
from minipar.records import Number
from minipar.schedules.instruction import Instruction


class Ports:
    """The `LinkQueues` of `simulate`, of so many ranks.

    talking: (kind, stage) -> how long an instruction's messages within its stage keep the link busy in both
    directions, from its beginning on.
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
