"""Computes the sizes of ZeRO: the shard of each rank of dp, the messages of a step, the buffers of units.

The parameters of a rank are divided into units: each block, the token table, the position table, the last
LayerNorm, and the output head if it is not tied to the token table. With tp = 1 a unit is sent in one
message. With tp > 1 it is sent in two messages: one for the parameters that are sharded over tp, and one for
the replicated parameters. Each message is divided into p = dp pieces, which travel around a ring. A rank
sends all pieces except one, about (p - 1)/p of the elements.

The table shows how often each unit of a rank is sent in one step with m micro-batches. If two pipeline stages
of the rank contain the same unit (a tied table), the numbers with m are doubled:

    stage   reduce-scatters     all-gathers
    1       1                   1
    2       m                   1
    3       m                   2 m (in each forward and each backward); 1 without reshard_after_forward

Sources: Rajbhandari et al. 2020, section 7 (communication volume); Zhao et al. 2023, "PyTorch FSDP".
"""

# dp, tp, pp: the axes of data, tensor and pipeline parallelism

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from minipar.config import Layout, ModelConfig
from minipar.plan.amounts import SentTotals, TrafficLine
from minipar.plan.axis import AxisTraffic
from minipar.plan.collectives import CollectiveTraffic, ring_all_gather, ring_reduce_scatter
from minipar.plan.parameters import rank_shapes
from minipar.plan.pieces import piece
from minipar.plan.stages import Share, StageShares

BUFFERS = 2  # number of buffers that the blocks use in turn


@dataclass(frozen=True)
class UnitSizes:
    """Describes the units of one rank. messages: unit -> label -> number of elements. parts: one list of
    units per pipeline stage of the rank.
    """

    messages: dict[str, dict[str, int]]
    parts: list[list[str]]

    def elements(self, unit: str) -> int:
        return sum(self.messages[unit].values())

    def shard(self, dp: int, rank: int) -> int:
        """Returns the number of elements that rank `rank` of dp owns.

        >>> UnitSizes({"norm": {"norm": 5}, "head": {"head": 8}}, []).shard(dp=3, rank=0)
        5
        """
        return sum(piece(n, dp, rank) for labels in self.messages.values() for n in labels.values())

    def sections(self, dp: int, rank: int) -> int:
        """Returns the number of elements that rank `rank` of dp owns if the units are not sent one by one.

        With tp = 1, all units together form one message. With tp > 1 they form two messages: one has the
        sharded parameters, the other has the replicated parameters.
        """
        replicas = sum(n for labels in self.messages.values() for label, n in labels.items()
                       if label.startswith("replicated "))
        others = sum(map(self.elements, self.messages)) - replicas
        return piece(others, dp, rank) + piece(replicas, dp, rank)

    def buffers(self, taking_turns: bool = True) -> int:
        """Returns the number of elements of the buffers that hold whole units temporarily.

        The blocks use two buffers in turn. Every other unit has its own buffer. If `taking_turns` is False,
        every block has its own buffer, too.
        """
        blocks = [unit for unit in self.messages if unit.startswith("blocks.") and taking_turns]
        turns = (blocks[number::BUFFERS] for number in range(BUFFERS))
        return (sum(self.elements(unit) for unit in self.messages if unit not in blocks)
                + sum(max(map(self.elements, units)) for units in turns if units))


def unit_sizes(model: ModelConfig, tp: int, tp_rank: int, stages: StageShares, pp_rank: int) -> UnitSizes:
    """Returns the units of rank `tp_rank` of tp and rank `pp_rank` of pp."""
    mine = stages.of_rank(pp_rank)
    shapes, whole = rank_shapes(model, tp, tp_rank, mine), rank_shapes(model, share=mine)
    messages: dict[str, dict[str, int]] = {}
    for name, shape in shapes.items():
        unit = _unit(name)
        label = f"replicated {unit}" if tp > 1 and shape == whole[name] else unit
        labels = messages.setdefault(unit, {})
        labels[label] = labels.get(label, 0) + math.prod(shape)
    last = len(stages.layers) - 1
    parts = [_units_of(model, Share(stage == 0, tuple(layers), stage == last))
             for stage, layers in enumerate(stages.layers) if stages.stage_to_rank[stage] == pp_rank]
    return UnitSizes(messages, parts)


def _unit(name: str) -> str:
    first, second = name.split(".")[:2]
    return f"{first}.{second}" if first == "blocks" else first


def _units_of(model: ModelConfig, part: Share) -> list[str]:
    return list(dict.fromkeys(_unit(name) for name in rank_shapes(model, share=part)))


def sharded_traffic(units: UnitSizes, dp: AxisTraffic, layout: Layout, micro_batches: int,
                    itemsize: int) -> Iterator[tuple[TrafficLine, SentTotals]]:
    """Yields the messages of one step over dp. micro_batches: the largest number of micro-batches on any
    rank.
    """
    once = list(units.messages)
    each = [unit for part in units.parts for unit in part] * micro_batches
    reduced = once if layout.zero == 1 else each
    gathered = each * 2 if layout.zero == 3 and layout.reshard_after_forward else once
    for unit, times in Counter(reduced).items():
        for label, n in units.messages[unit].items():
            yield _line(dp, "reduce_scatter sum", f"gradients of {label}",
                        ring_reduce_scatter(dp.size, dp.rank, dp.shares(n)), itemsize, times)
    for unit, times in Counter(gathered).items():
        for label, n in units.messages[unit].items():
            yield _line(dp, "all_gather", f"weights of {label}",
                        ring_all_gather(dp.size, dp.rank, dp.shares(n)), itemsize, times)


def _line(dp: AxisTraffic, op: str, label: str, sent: CollectiveTraffic, itemsize: int,
          times: int) -> tuple[TrafficLine, SentTotals]:
    once = SentTotals(1, sent.messages, sent.elements * itemsize)
    return TrafficLine(dp.name, op, label), once.times(times)
