"""Generates pipelines with one stage per rank. Stage s is on rank s.

All these schedules compute the same gradients in the same order of micro-batches. They differ in the idle
time of ranks and in the activations that a rank keeps. 1F1B has the idle time of GPipe, but keeps fewer
activations.
"""

from __future__ import annotations

from minipar.schedules.generators.orders import one_by_one, round_robin, run
from minipar.schedules.instruction import Instruction, Schedule


def naive(ranks: int, micro_batches: int) -> Schedule:
    """Runs forward and backward of a micro-batch before the next micro-batch starts (layer parallelism). Only
    one rank computes at a time.
    """
    orders = [[Instruction(kind, stage, micro) for micro in range(micro_batches) for kind in "FB"]
              for stage in range(ranks)]
    return _plain("naive", micro_batches, orders)


def gpipe(ranks: int, micro_batches: int) -> Schedule:
    """Runs all forwards first, then all backwards. A rank keeps the activations of every micro-batch (Huang
    et al. 2019, arXiv 1811.06965).
    """
    micros = range(micro_batches)
    orders = [run("F", stage, micros) + run("B", stage, micros) for stage in range(ranks)]
    return _plain("gpipe", micro_batches, orders)


def one_f_one_b(ranks: int, micro_batches: int) -> Schedule:
    """Runs forwards until the first gradient arrives, then one backward after each forward. Stage s keeps p -
    s micro-batches (PipeDream-flush, Narayanan et al. 2021, arXiv 2006.09503).
    """
    orders = [_in_turns(stage, micro_batches, warm=ranks - 1 - stage) for stage in range(ranks)]
    return _plain("1f1b", micro_batches, orders)


def eager_one_f_one_b(ranks: int, micro_batches: int) -> Schedule:
    """Runs 1F1B with twice the warm-up, so that messages can be in flight while ranks compute. Stage s keeps
    2(p - s) - 1 micro-batches (Zhuang et al. 2022, arXiv 2211.05322).
    """
    orders = [_in_turns(stage, micro_batches, warm=2 * (ranks - 1 - stage)) for stage in range(ranks)]
    return _plain("eager-1f1b", micro_batches, orders)


def _in_turns(stage: int, micro_batches: int, warm: int) -> list[Instruction]:
    return one_by_one(run("F", stage, range(micro_batches)), run("B", stage, range(micro_batches)), warm)


def _plain(name: str, micro_batches: int, orders: list[list[Instruction]]) -> Schedule:
    return Schedule(name, micro_batches, stage_to_rank=round_robin(len(orders), 1),
                    orders=tuple(map(tuple, orders)))
