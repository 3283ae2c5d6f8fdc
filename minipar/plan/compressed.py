"""Computes the traffic of a sum of compressed gradients (int8, 1bit).

Each rank sends its gradient in an all-to-all, then the sum of its own chunk in an all-gather. A message has
one scale, and one byte (int8) or one bit (1bit) per element.
"""

from __future__ import annotations

from collections.abc import Iterator

from minipar.plan.amounts import SentTotals, TrafficLine
from minipar.plan.axis import AxisTraffic
from minipar.plan.collectives import direct_all_to_all, ring_all_gather


def compressed_sum(dp: AxisTraffic, elements: int, itemsize: int, label: str,
                   code: str) -> Iterator[tuple[TrafficLine, SentTotals]]:
    """Yields the lines of one section of the gradient. itemsize: bytes of the scale. code: "int8" or "1bit".
    """
    sizes = [itemsize + (n if code == "int8" else -(-n // 8)) for n in dp.shares(elements)]
    sent = direct_all_to_all(dp.size, dp.rank, sizes)
    yield TrafficLine(dp.name, "all_to_all", label), SentTotals(1, sent.messages, sent.elements)
    sent = ring_all_gather(dp.size, dp.rank, sizes)
    yield TrafficLine(dp.name, "all_gather", label), SentTotals(1, sent.messages, sent.elements)
