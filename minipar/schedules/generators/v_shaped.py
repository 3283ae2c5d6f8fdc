"""Generates zero-bubble pipelines in the shape of a V. The 2p stages of the model are on the ranks 0, 1, ...,
p - 1, p - 1, ..., 1, 0.

So stages r and 2p - 1 - r are on rank r, and rank 0 has the first and the last stage. A micro-batch returns
to its first rank, and its backward begins there. All ranks keep the same number of activations.

The published orders need enough micro-batches to fill the pipeline. If there are fewer micro-batches, an
order for enough micro-batches is generated, and the instructions of the missing micro-batches are removed.
The remaining order is valid, because no micro-batch needs data of another micro-batch.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator

from minipar.schedules.instruction import Instruction, Schedule


def zb_v(ranks: int, micro_batches: int) -> Schedule:
    """Generates ZB-V, which has no bubble if F, B and W take the same time. Each rank keeps 2p activations of
    stages of half size. This is as much as the first rank of 1F1B keeps (Qi et al. 2023, arXiv 2401.10241).
    """
    filled = max(micro_batches, 2 * ranks - 1)
    orders = []
    for rank in range(ranks):
        below = ranks - 1 - rank
        order = _Order(rank, ranks)
        order.add("F0", times=2 * below + 1)
        order.add("F1 F0", times=rank)
        order.add("F1 BW1", times=below + 1)
        order.add("F0 BW0 F1 BW1", times=filled - below - ranks)
        order.add("BW0 F1 BW1", times=below)
        order.add("B0 B1", times=rank)
        order.add("B0 W", times=below + 1)
        order.add("W", times=2 * rank)
        orders.append(order.of_first(micro_batches))
    return _v_shaped("zb-v", micro_batches, orders)


def dualpipev(ranks: int, micro_batches: int) -> Schedule:
    """Generates DualPipeV, one half of DualPipe (DeepSeek-AI 2024, arXiv 2412.19437). Each rank runs a
    forward of one of its stages next to a backward of its other stage. So a machine can overlap the
    computation of one with the messages of the other. Each rank keeps 2p + 1 activations of stages of half
    size.
    """
    filled = max(micro_batches, 2 * ranks)
    orders = []
    for rank in range(ranks):
        below = ranks - 1 - rank
        turns = [1, 0] * (rank + 1)
        order = _Order(rank, ranks)
        order.add("F0", times=2 * below)
        order.add("F0 F1", times=rank + 1)
        order.add("BW1 F1", times=below)
        order.add("F0 BW1 F1 BW0", times=filled - below - ranks)
        order.add("BW1 F1 BW0", times=below)
        order.add(" ".join(f"BW{stage}" for stage in turns[:rank + 1]))
        order.add(" ".join(f"B{stage}" for stage in turns[rank + 1:]))
        order.add("W B0", times=below)
        order.add("W", times=rank + 1)
        orders.append(order.of_first(micro_batches))
    return _v_shaped("dualpipev", micro_batches, orders)


class _Order:
    """Builds the order of a rank from words. "F0" is the next forward of the rank's first stage. "BW1" is the
    next whole backward of its second stage. "B1" defers W. "W" is the oldest deferred W of both stages.
    """

    def __init__(self, rank: int, ranks: int) -> None:
        self.stages = (rank, 2 * ranks - 1 - rank)
        self.instructions: list[Instruction] = []
        self.deferred: list[Instruction] = []
        self.micros: dict[tuple[str, int], Iterator[int]] = defaultdict(itertools.count)

    def add(self, words: str, times: int = 1) -> None:
        for word in words.split() * times:
            if word == "W":
                self.instructions.append(self.deferred.pop(0))
                continue
            kind, stage = word[0], self.stages[int(word[-1])]
            micro = next(self.micros[kind, stage])
            self.instructions.append(Instruction(kind, stage, micro))
            if kind == "B":
                weights = self.instructions if word.startswith("BW") else self.deferred
                weights.append(Instruction("W", stage, micro))

    def of_first(self, micro_batches: int) -> tuple[Instruction, ...]:
        return tuple(instruction for instruction in self.instructions if instruction.micro < micro_batches)


def _v_shaped(name: str, micro_batches: int, orders: list[tuple[Instruction, ...]]) -> Schedule:
    ranks = range(len(orders))
    return Schedule(name, micro_batches, stage_to_rank=(*ranks, *reversed(ranks)), orders=tuple(orders),
                    split=True)
