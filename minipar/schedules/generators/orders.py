"""Defines helpers of the generators: the order "one forward, one backward", and the ranks of stages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from minipar.schedules.instruction import Instruction


def one_by_one(forwards: Sequence[Instruction], backwards: Sequence[Instruction],
               warm: int) -> list[Instruction]:
    """Returns `warm` forwards, then forwards and backwards in turn, then the remaining backwards. If there
    are fewer than `warm` forwards, the result begins with all forwards.
    """
    warm = min(warm, len(forwards))
    steady = [instruction for pair in zip(forwards[warm:], backwards, strict=False) for instruction in pair]
    return [*forwards[:warm], *steady, *backwards[len(forwards) - warm:]]


def run(kind: str, stage: int, micro_batches: Iterable[int]) -> list[Instruction]:
    """Returns the instruction `kind` of this stage for each of these micro-batches."""
    return [Instruction(kind, stage, micro) for micro in micro_batches]


def round_robin(ranks: int, virtual: int) -> tuple[int, ...]:
    """Returns stage_to_rank for ranks * virtual stages. Stage s is on rank s mod p."""
    return tuple(range(ranks)) * virtual
