"""Zero-bubble pipelines of one stage per rank: backward is B, which the stage before waits for, and W, which
nobody waits for.

ZB-H1 keeps no more than 1F1B's first rank and waits a third as long; ZB-H2 keeps about twice as much and does
not wait at all (where F, B and W take equally long). Both are orders that Qi et al. 2023 (arXiv 2401.10241,
section 2) made by hand: 1F1B in which later ranks put W off for longer. A rank that has put W off has
something to do at the end of the batch, where it would wait otherwise.
"""

from __future__ import annotations

from minipar.schedules.generators.orders import one_by_one, round_robin, run
from minipar.schedules.instruction import Instruction, Schedule


def zb_h1(ranks: int, micro_batches: int) -> Schedule:
    """1F1B in which stage s starts with W after s further backwards: every rank keeps p micro-batches."""
    return _zero_bubble("zb-h1", ranks, micro_batches, warm=1)


def zb_h2(ranks: int, micro_batches: int) -> Schedule:
    """Twice the warm-up of ZB-H1, and W put off for twice as long: every rank keeps 2p - 1 micro-batches, and
    none waits between its first instruction and its last."""
    return _zero_bubble("zb-h2", ranks, micro_batches, warm=2)


def _zero_bubble(name: str, ranks: int, micro_batches: int, warm: int) -> Schedule:
    """warm: how many more forwards each rank does before its first backward than the next rank."""
    micros = range(micro_batches)
    orders = []
    for stage in range(ranks):
        late = warm * stage  # W follows the B of so many micro-batches later
        order: list[Instruction] = []
        for step in one_by_one(run("F", stage, micros), run("B", stage, micros), warm * (ranks - 1 - stage)):
            order.append(step)
            if step.kind == "B" and step.micro >= late:
                order.append(Instruction("W", stage, step.micro - late))
        orders.append(tuple(order + run("W", stage, micros[max(0, micro_batches - late):])))
    return Schedule(name, micro_batches, round_robin(ranks, 1), tuple(orders), split=True)
