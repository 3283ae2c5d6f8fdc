"""Compares the messages and bytes that the ranks sent in a run with the formulas of `minipar.plan.traffic`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from minipar.comm.collectives import select
from minipar.plan.amounts import SentTotals, TrafficLine, added_up, by_axis, differences
from minipar.plan.axis import Pick
from minipar.plan.traffic import step_traffic
from minipar.proof.case import STEPS, Case
from minipar.proof.record import RankRun

AXES = ("dp", "pp", "tp", "tied", "other")  # "other" stands for the group of all ranks


@dataclass(frozen=True)
class TrafficFinding:
    """The traffic of all ranks along one axis in all steps of a run. wrong: describes the first operation
    whose traffic differs from the prediction on some rank, or is "".
    """

    axis: str
    messages: int
    bytes: int
    predicted_messages: int
    predicted_bytes: int
    wrong: str

    @property
    def proven(self) -> bool:
        return not self.wrong


def sent_by_rank(case: Case, run: RankRun, pick: Pick = select) -> dict[str, dict[str, Any]]:
    """Returns the counted and the predicted traffic of this rank for each axis, as input of `traffic_of`.
    pick: the function that selects algorithms for the prediction.
    """
    layout, world = case.layout, run.grid.world
    step = step_traffic(case.model, case.train, layout, world.rank, pick, nodes=world.nodes)
    predicted = {line: SentTotals(*(STEPS * amount for amount in sent)) for line, sent in step.items()}
    counted = added_up((TrafficLine(axis if axis in AXES else "other", op, label), sent)
                       for (axis, op, label), sent in run.sent.items())
    wrong = differences(predicted, counted)
    return {axis: {"counted": by_axis(counted).get(axis, SentTotals()),
                   "predicted": by_axis(predicted).get(axis, SentTotals()),
                   "wrong": next((text for text in wrong if text.startswith(f"{axis},")), "")}
            for axis in AXES}


def traffic_of(ranks: list[dict[str, dict[str, Any]]]) -> list[TrafficFinding]:
    """Returns one finding per axis, with sums over all ranks. ranks: the result of `sent_by_rank` on each
    rank.
    """
    return [_sum(axis, [rank[axis] for rank in ranks]) for axis in AXES]


def _sum(axis: str, ranks: list[dict[str, Any]]) -> TrafficFinding:
    counted, predicted = SentTotals(), SentTotals()
    for one in ranks:
        counted, predicted = (
            counted.plus(SentTotals(*one["counted"])),
            predicted.plus(SentTotals(*one["predicted"])),
        )
    wrong = [f"{one['wrong']}, on rank {rank}" for rank, one in enumerate(ranks) if one["wrong"]]
    return TrafficFinding(axis, counted.messages, counted.bytes, predicted.messages, predicted.bytes,
                          wrong[0] if wrong else "")
