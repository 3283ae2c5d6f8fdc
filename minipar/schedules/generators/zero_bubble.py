"""Zero-bubble pipelines with one stage per rank. Backward is split: the stage before waits for B, and no
stage waits for W.

ZB-H1 keeps as many activations as the first rank of 1F1B, and is idle a third as long. ZB-H2 keeps about
twice as many, and is never idle (if F, B and W take equally long). Both orders are from Qi et al. 2023 (arXiv
2401.10241, section 2): 1F1B in which later ranks defer W for longer. The deferred W fill the end of the
batch, where a rank would be idle otherwise.
"""

from __future__ import annotations

from minipar.schedules.generators.orders import one_by_one, round_robin, run
from minipar.schedules.instruction import Instruction, Schedule


def zb_h1(ranks: int, micro_batches: int) -> Schedule:
    """1F1B in which stage s starts with W after s more backwards. Every rank keeps p micro-batches."""
    return _zero_bubble("zb-h1", ranks, micro_batches, warm=1)


def zb_h2(ranks: int, micro_batches: int) -> Schedule:
    """Twice the warm-up of ZB-H1, and W deferred for twice as long. Every rank keeps 2p - 1 micro-batches,
    and is never idle between its first and its last instruction.
    """
    return _zero_bubble("zb-h2", ranks, micro_batches, warm=2)


def _zero_bubble(name: str, ranks: int, micro_batches: int, warm: int) -> Schedule:
    """warm: the number of additional forwards before the first backward, compared with the next rank."""
    micros = range(micro_batches)
    orders = []
    for stage in range(ranks):
        late = warm * stage  # W of micro-batch i follows B of micro-batch i + this number
        order: list[Instruction] = []
        for step in one_by_one(run("F", stage, micros), run("B", stage, micros), warm * (ranks - 1 - stage)):
            order.append(step)
            if step.kind == "B" and step.micro >= late:
                order.append(Instruction("W", stage, step.micro - late))
        orders.append(tuple(order + run("W", stage, micros[max(0, micro_batches - late):])))
    return Schedule(name, micro_batches, round_robin(ranks, 1), tuple(orders), split=True)
