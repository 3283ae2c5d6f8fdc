"""Generates pipelines with v stages per rank. Stage s is on rank s mod p.

A stage is v times smaller than with one stage per rank, so filling and draining the pipeline takes v times
less time. But there are v times as many messages.
"""

from __future__ import annotations

import itertools

from minipar.schedules.generators.orders import one_by_one, round_robin, run
from minipar.schedules.instruction import Instruction, Schedule


def interleaved(ranks: int, micro_batches: int, virtual: int) -> Schedule:
    """Generates interleaved 1F1B: groups of micro-batches pass through all stages. After the warm-up, one
    backward follows each forward (Narayanan et al. 2021, arXiv 2104.04473). virtual = 1 gives eager 1F1B.

    The paper requires a multiple of p micro-batches, in groups of p. Here any number m is divided into groups
    as evenly as possible, with larger groups first. If m >= p, each group has at least p micro-batches. The
    paper's bubble holds for all these m.
    """
    groups = _groups(micro_batches, max(1, micro_batches // ranks))
    orders = []
    for rank in range(ranks):
        stages = range(rank, ranks * virtual, ranks)
        forwards = [instruction for group in groups for stage in stages
                    for instruction in run("F", stage, group)]
        backwards = [instruction for group in groups for stage in reversed(stages)
                     for instruction in run("B", stage, group)]
        warm = (virtual - 1) * len(groups[0]) + 2 * (ranks - 1 - rank)
        orders.append(one_by_one(forwards, backwards, warm))
    return _on_all_ranks("interleaved", micro_batches, virtual, orders)


def looped_bfs(ranks: int, micro_batches: int, virtual: int) -> Schedule:
    """Generates a breadth-first schedule: all micro-batches pass through a stage, then all pass through the
    rank's next stage. Backward uses the reverse order of stages. The schedule has the bubble of interleaved
    1F1B, the memory of GPipe, and the fewest changes between stages (Lamy-Poirier 2022, arXiv 2211.05953).
    """
    orders = []
    for rank in range(ranks):
        stages = range(rank, ranks * virtual, ranks)
        forwards = [instruction for stage in stages for instruction in run("F", stage, range(micro_batches))]
        backwards = [instruction for stage in reversed(stages)
                     for instruction in run("B", stage, range(micro_batches))]
        orders.append(forwards + backwards)
    return _on_all_ranks("looped-bfs", micro_batches, virtual, orders)


def _groups(micro_batches: int, number: int) -> list[range]:
    """Divides consecutive micro-batches into `number` groups as evenly as possible, with larger groups first.
    """
    size, larger = divmod(micro_batches, number)
    starts = [size * group + min(group, larger) for group in range(number + 1)]
    return [range(*bounds) for bounds in itertools.pairwise(starts)]


def _on_all_ranks(name: str, micro_batches: int, virtual: int, orders: list[list[Instruction]]) -> Schedule:
    return Schedule(name, micro_batches, round_robin(len(orders), virtual), tuple(map(tuple, orders)))
