"""Computes the memory and the messages of a schedule. Both depend only on the orders, not on times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from minipar.records import Number
from minipar.schedules.instruction import Schedule
from minipar.schedules.lower import makes


def peak_activations(schedule: Schedule, weights: Sequence[Number] | None = None,
                     kept_for_w: Number = 1) -> list[Number]:
    """Returns, for each rank, the largest amount of activations that the rank keeps at one time.

    weights: the amount for one micro-batch on each stage, for example in bytes. None counts each pair of
    stage and micro-batch as 1. kept_for_w: if backward is split, the fraction that is kept from B to W; B
    frees the rest. A forward-only schedule does not keep activations after F.
    """
    weights = weights or [1] * schedule.stages
    keeps = {"F": -1 if schedule.forward_only else 0, "B": kept_for_w - 1 if schedule.split else -1,
             "W": -kept_for_w}
    peaks = []
    for order in schedule.orders:
        kept: Number = 0
        peak: Number = 0
        for kind, stage, _ in order:
            if kind == "F":
                kept += weights[stage]
                peak = max(peak, kept)
            kept += keeps[kind] * weights[stage]
        peaks.append(peak)
    return peaks


def traffic(schedule: Schedule) -> dict[tuple[int, int], int]:
    """Returns a dict: (sender, receiver) -> the number of messages. Activations and gradients are counted
    together.
    """
    links: Counter[tuple[int, int]] = Counter()
    for rank, order in enumerate(schedule.orders):
        for instruction in order:
            made = makes(instruction, schedule)
            if made is not None and schedule.stage_to_rank[made.dest] != rank:
                links[rank, schedule.stage_to_rank[made.dest]] += 1
    return dict(sorted(links.items()))
