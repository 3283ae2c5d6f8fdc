"""Sums the times, the messages and the memory of a traced step: for each rank, for each rank of the pipeline,
and for each axis of the grid.
"""

# dp, tp, pp: the axes of data, tensor and pipeline parallelism

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from minipar.comm.wrappers.timeline import Event
from minipar.config import Layout
from minipar.trace.predict import overlap
from minipar.trace.step import StepTrace


@dataclass(frozen=True)
class RankTotals:
    """Holds the sums of one rank's events.

    end: seconds until its last event. computing: seconds of computing. sent: bytes. memory: bytes, the sum of
    the peaks of all uses (weights, gradients, ...). hidden: the fraction of the sending time in which the
    rank also computed; None if it sent no message.
    """

    rank: int
    end: float
    computing: float
    sent: int
    memory: int
    hidden: float | None


@dataclass(frozen=True)
class Spread:
    """Holds the smallest, the median and the largest value of some ranks, and the ranks with the smallest and
    the largest value.

    >>> Spread.of({0: 5.0, 1: 2.0, 2: 9.0})
    Spread(least=2.0, least_rank=1, median=5.0, most=9.0, most_rank=2)
    """

    least: float
    least_rank: int
    median: float
    most: float
    most_rank: int

    @classmethod
    def of(cls, values: dict[int, float]) -> Spread:
        """Returns the spread of `values`, a dict that is not empty: rank -> value. If values are equal, the
        lowest rank is used.
        """
        least_rank, most_rank = min(values, key=values.__getitem__), max(values, key=values.__getitem__)
        return cls(values[least_rank], least_rank, median(values.values()), values[most_rank], most_rank)


def rank_totals(trace: StepTrace) -> list[RankTotals]:
    """Returns the sums of every rank, in the order of ranks. Each event is read once."""
    events: dict[int, list[Event]] = defaultdict(list)
    for event in trace.events:
        events[event.rank].append(event)
    return [_totals_of(rank, events[rank], sum(trace.memory[rank].values()))
            for rank in range(trace.layout.ranks)]


def _totals_of(rank: int, events: Sequence[Event], memory: int) -> RankTotals:
    computing = sum(float(event.duration) for event in events if event.kind == "compute")
    sent = sum(event.bytes for event in events if event.kind == "send")
    end = max((float(event.end) for event in events), default=0.0)
    return RankTotals(rank, end, computing, sent, memory, overlap(events, rank))


def spread(totals: Iterable[RankTotals], value: Callable[[RankTotals], float]) -> Spread:
    return Spread.of({one.rank: value(one) for one in totals})


def stage_ranks(layout: Layout, pp_rank: int) -> range:
    """Returns the world ranks of rank `pp_rank` of the pipeline. These ranks are consecutive, because pp is
    the first axis of the grid.
    """
    each = layout.dp * layout.tp
    return range(pp_rank * each, (pp_rank + 1) * each)


def fullest_ranks(trace: StepTrace, most: int = 16) -> list[int]:
    """Returns the ranks whose memory is drawn. A layout with at most `most` ranks is drawn completely. In a
    larger layout, the world rank with the most bytes is drawn for each rank of the pipeline. If the pipeline
    has more than `most` ranks, at most `most` of them are drawn, evenly spread.
    """
    layout = trace.layout
    if layout.ranks <= most:
        return list(range(layout.ranks))
    return [max(stage_ranks(layout, pp_rank), key=lambda rank: sum(trace.memory[rank].values()))
            for pp_rank in range(0, layout.pp, -(-layout.pp // most))]


def axis_messages(events: Iterable[Event]) -> dict[str, tuple[int, int]]:
    """Returns {name of a group: (number of messages, number of bytes)}, in alphabetical order. An example of
    a name is "tp". The name of a message begins with the name of its group.
    """
    sums: dict[str, tuple[int, int]] = {}
    for event in events:
        if event.kind == "send":
            name = event.flow.split(":")[0]
            messages, nbytes = sums.get(name, (0, 0))
            sums[name] = messages + 1, nbytes + event.bytes
    return dict(sorted(sums.items()))


def sample_of_ranks(layout: Layout, most: int) -> list[int]:
    """Returns at most `most` ranks for a file or a picture that cannot show all ranks. The ranks of the first
    pipeline (dp rank 0, tp rank 0) are chosen first, then more ranks of the first stage.

    >>> sample_of_ranks(Layout(dp=4, tp=2, pp=4), 6)            # 32 ranks; 8 per stage
    [0, 1, 2, 8, 16, 24]
    """
    pipeline = range(0, layout.ranks, layout.dp * layout.tp)
    wanted = dict.fromkeys([*pipeline, *stage_ranks(layout, 0), *range(layout.ranks)])
    return sorted(list(wanted)[:most])
