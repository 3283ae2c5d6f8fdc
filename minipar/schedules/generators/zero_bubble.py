"""Generates zero-bubble pipelines with one stage per rank. Backward is split into B (the gradient of the
input) and W (the gradients of the weights).

The previous stage waits for B, but no stage waits for W.

If F, B and W take the same time, ZB-H1 has a third of the idle time of 1F1B, and ZB-H2 has no idle time. A
rank of ZB-H1 keeps as many activations as the first rank of 1F1B. ZB-H2 keeps about twice as many. Both
orders come from Qi et al. 2023 (arXiv 2401.10241, section 2). Both are variants of 1F1B in which later ranks
defer W for longer. A rank runs its deferred W at the end of the batch, when it would otherwise be idle.
"""

from __future__ import annotations

from minipar.schedules.generators.orders import one_by_one, round_robin, run
from minipar.schedules.instruction import Instruction, Schedule


def zb_h1(ranks: int, micro_batches: int) -> Schedule:
    """Generates ZB-H1. It is 1F1B, but stage s runs its first W after s additional backwards. Every rank
    keeps p micro-batches.
    """
    return _zero_bubble("zb-h1", ranks, micro_batches, warm=1)


def zb_h2(ranks: int, micro_batches: int) -> Schedule:
    """Generates ZB-H2. It has twice the warm-up of ZB-H1, and defers W for twice as many backwards. Every
    rank keeps 2p - 1 micro-batches, and is never idle between its first and its last instruction.
    """
    return _zero_bubble("zb-h2", ranks, micro_batches, warm=2)


def _zero_bubble(name: str, ranks: int, micro_batches: int, warm: int) -> Schedule:
    """Builds the orders of ZB-H1 or ZB-H2. warm: before its first backward, a rank runs this many forwards
    more than the next rank.
    """
    micros = range(micro_batches)
    orders = []
    for stage in range(ranks):
        late = warm * stage  # W of micro-batch i follows B of micro-batch i + late
        order: list[Instruction] = []
        forwards, backwards = run("F", stage, micros), run("B", stage, micros)
        for instruction in one_by_one(forwards, backwards, warm * (ranks - 1 - stage)):
            order.append(instruction)
            if instruction.kind == "B" and instruction.micro >= late:
                order.append(Instruction("W", stage, instruction.micro - late))
        orders.append(tuple(order + run("W", stage, micros[max(0, micro_batches - late):])))
    return Schedule(name, micro_batches, round_robin(ranks, 1), tuple(orders), split=True)
