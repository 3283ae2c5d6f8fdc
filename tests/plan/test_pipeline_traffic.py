"""What pipelines send, predicted and counted: between neighbouring stages, for the tied table, and by each
rank's own part.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from minipar.comm.collectives import select
from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.config import GRADIENTS, Layout
from minipar.parallel.stages import Stages
from minipar.plan.amounts import SentTotals, TrafficLine, differences
from minipar.plan.parameters import rank_shapes
from minipar.plan.stages import Share, stages_of
from minipar.plan.traffic import step_traffic
from minipar.schedules.generators import SCHEDULES
from tests.plan.test_traffic import configs, counted, trainer, wrong

TRAINING = [name for name in SCHEDULES if name != "inference"]
PLACES = [(pp, dp, tp, sequence) for pp, dp, tp in product(range(2, 9), range(1, 5), range(1, 5)) if pp * dp
          * tp <= 8
          for sequence in ((False, True) if tp > 1 else (False,))]


def predicted(layout: Layout, rank: int, **values: Any) -> dict[TrafficLine, SentTotals]:
    return step_traffic(*configs(layout, **values), layout, rank, select)


def of_axis(lines: dict[TrafficLine, SentTotals], axis: str) -> list[tuple[str, int]]:
    """(label, bytes) of each of its lines."""
    return [(line.label, sent.bytes) for line, sent in lines.items() if line.axis == axis
            and line.op == "send"]


@pytest.mark.parametrize("number", range(len(PLACES)), ids=lambda number: "-".join(map(str, PLACES[number])))
def test_counted_is_predicted_on_every_layout(number: int) -> None:
    """Micro-batches of uneven sizes, not as many on every rank of dp. Every proof of `verify` holds the same,
    see tests/verify.
    """
    pp, dp, tp, sequence = PLACES[number]
    layout = Layout(dp=dp, pp=pp, tp=tp, sequence_parallel=sequence, pipeline=TRAINING[number % 10],
                    gradients=GRADIENTS[number % 5], bucket_bytes=3000)
    model, train = configs(layout, layers=2 * pp, batch=7, micro_batches=(5, 2)[number % 2],
                           tied=number % 3 > 0, hidden=19, recompute=("none", "full")[number // 5 % 2])
    assert run(layout.ranks, wrong, layout, model, train) == [[]] * layout.ranks


@pytest.mark.parametrize("values", [dict(stage_layers=(0, 3, 0)), dict(stage_layers=(3, 1, 2)),
                                    dict(virtual=2, pipeline="interleaved")], ids=str)
def test_stages_of_any_sizes(values: dict[str, Any]) -> None:
    layout = Layout(pp=3, **values)
    model, train = configs(layout, layers=sum(layout.stage_layers) or 7, micro_batches=2, bias=False)
    assert run(3, wrong, layout, model, train) == [[]] * 3


def test_ranks_know_the_nodes_of_their_group() -> None:
    """A large tied table between two nodes, of one rank each: the algorithm may depend on that."""
    layout, nodes = Layout(pp=2, dp=2), (0, 1, 2, 2)
    model, train = configs(layout, width=72, vocabulary=1500, context=3, layers=2)
    assert run(4, lambda comm: wrong(comm, layout, model, train, nodes=nodes), nodes=nodes) == [[]] * 4


def test_shapes_of_every_rank_are_its_stages() -> None:
    """In the same order, too: buckets are filled in it."""
    def held(comm: Communicator) -> list[tuple[str, tuple[int, ...]]]:
        stages: Stages = trainer(comm, layout, model, train).stages
        return [(p.name, p.shape) for p in stages.parameters()]

    for pipeline, tied in product(("1f1b", "interleaved", "zb-v"), (False, True)):
        layout = Layout(pp=2, tp=2, pipeline=pipeline)
        model, train = configs(layout, layers=5, tied=tied)
        shares = [stages_of(model, layout).of_rank(rank) for rank in range(2)]
        assert run(4, held) == [list(rank_shapes(model, 2, rank % 2, shares[rank // 2]).items())
                                for rank in range(4)]


# What the formulas say.

def test_who_has_what() -> None:
    model, _ = configs(Layout(), layers=5)
    assert stages_of(model, Layout(pp=2)).of_rank(0) == Share(True, (0, 1, 2), False)
    interleaved = stages_of(model, Layout(pp=2, pipeline="interleaved"))
    assert interleaved.stage_to_rank == (0, 1, 0, 1) and interleaved.ends == (0, 1)
    assert [interleaved.of_rank(rank) for rank in (0, 1)] == [Share(True, (0, 1, 3), False),
                                                              Share(False, (2, 4), True)]
    v_shaped = stages_of(model, Layout(pp=2, pipeline="zb-v"))
    assert [v_shaped.of_rank(rank) for rank in (0, 1)] == [Share(True, (0, 1, 4), True),
                                                           Share(False, (2, 3), False)]
    assert v_shaped.ends == (0,)
    assert stages_of(model, Layout(pp=2, stage_layers=(0, 5))).of_rank(0) == Share(True, (), False)


@pytest.mark.parametrize("schedule, boundaries", [
    *[(name, 4 - 1) for name in ("naive", "gpipe", "1f1b", "eager-1f1b", "zb-h1", "zb-h2")],
    ("interleaved", 8 - 1), ("looped-bfs", 8 - 1), ("zb-v", 8 - 2), ("dualpipev", 8 - 2)])
def test_each_boundary_between_ranks_is_crossed_twice_per_micro_batch(schedule: str, boundaries: int) -> None:
    """4 ranks, 3 micro-batches of 3, 2 and 2 samples. The bottom of a V is between two stages of one rank."""
    layout = Layout(pp=4, pipeline=schedule)
    sent = [of_axis(predicted(layout, rank, layers=8, batch=7, micro_batches=3), "pp") for rank in range(4)]
    assert sum(map(len, sent)) == 2 * 3 * boundaries
    sizes = Counter(size for lines in sent for _, size in lines)
    assert sizes == {3 * 11 * 18 * 8: 2 * boundaries, 2 * 11 * 18 * 8: 2 * 2 * boundaries}
    labels = [label for lines in sent for label, _ in lines]
    assert len(set(labels)) == len(labels) and ("activations 2 of stage 0", 2 * 11 * 18 * 8) in sent[0]
    assert not any("gradient" in label and "of stage 0" in label for label in labels)


def test_neither_hidden_units_nor_the_vocabulary_change_what_stages_exchange() -> None:
    layout = Layout(pp=2, tp=2)
    for rank in range(4):
        small, large = (of_axis(predicted(layout, rank, **sizes), "pp")
                        for sizes in (dict(), dict(hidden=290, vocabulary=650)))
        assert small == large != []


def test_with_sequence_parallelism_the_ranks_of_tp_share_what_stages_exchange() -> None:
    """11 tokens over 2 ranks are 6 and 5; without it, each rank of tp sends all of them."""
    plain = Layout(pp=2, tp=2)
    whole, shared = ([dict(of_axis(predicted(layout, rank), "pp")) for rank in (0, 1)]
                     for layout in (plain, replace(plain, sequence_parallel=True)))
    label = "activations 0 of stage 0"
    assert whole[0] == whole[1] and shared[0][label] + shared[1][label] == whole[0][label]
    assert 5 * shared[0][label] == 6 * shared[1][label]


def test_the_tied_table_travels_between_the_two_ends_alone() -> None:
    def tables(layout: Layout, **values: Any) -> list[int]:
        lines = [predicted(layout, rank, layers=6, **values) for rank in range(layout.ranks)]
        return [sum(sent.bytes for line, sent in found.items() if line.axis == "tied") for found in lines]

    assert tables(Layout(pp=3)) == [65 * 18 * 8, 0, 65 * 18 * 8]
    assert tables(Layout(pp=2, tp=2)) == [33 * 18 * 8, 32 * 18 * 8] * 2
    assert tables(Layout(pp=3), tied=False) == tables(Layout(pp=3, pipeline="zb-v")) == [0, 0, 0]


# The comparison sees what it should.

def test_a_message_too_many_and_a_sum_that_is_missing_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout(pp=2)
    model, train = configs(layout)
    right = run(2, lambda comm: counted(comm, layout, model, train))
    monkeypatch.setattr(Stages, "add_tied", lambda stages, flat: None)
    for rank, lines in enumerate(run(2, lambda comm: counted(comm, layout, model, train))):
        texts = differences(step_traffic(model, train, layout, rank, select), lines)
        assert [text.split(": ")[0] for text in texts] == ["tied, all_reduce sum, tied table"]
    monkeypatch.undo()
    finer = replace(train, micro_batches=2)
    texts = differences(step_traffic(model, finer, layout, 0, select), right[0])
    assert [text.split(": ")[0] for text in texts] == ["pp, send, activations 0 of stage 0",
                                                       "pp, send, activations 1 of stage 0"]
