"""A traced step of many ranks: the sums of ranks, stages and groups, in few lines and in files that can be
opened.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from minipar.cli.trace import report
from minipar.cli.trace_text import LISTED, STAGES, loss_line, rank_lines
from minipar.comm.collectives.select import select
from minipar.comm.threads import run
from minipar.comm.wrappers.network import Network
from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.plan.traffic import step_traffic
from minipar.proof.case import text_of
from minipar.trace.predict import overlap
from minipar.trace.step import StepTrace, single_process_losses, trace_step
from minipar.trace.totals import (
    Spread,
    axis_messages,
    fullest_ranks,
    rank_totals,
    sample_of_ranks,
    stage_ranks,
)

LAYOUT = Layout(dp=2, tp=4, pp=8)
MODEL = ModelConfig(64, context=8, layers=8, heads=4, width=8)
TRAIN = TrainConfig(batch=8, micro_batches=4, dtype="float64")
NETWORK = Network(1e-6, 1e-10)


@pytest.fixture(scope="module")
def trace() -> StepTrace:
    """64 ranks, one layer per stage."""
    found = run(
        LAYOUT.ranks, lambda comm: trace_step(comm, LAYOUT, MODEL, TRAIN, *text_of(64), NETWORK, 1e9)
    )[0]
    assert found is not None
    return found


def test_the_losses_are_those_of_a_single_process(trace: StepTrace) -> None:
    expected = single_process_losses(MODEL, TRAIN, *text_of(64), len(trace.losses))
    assert trace.losses == pytest.approx(expected, rel=1e-12) and len(set(expected)) == len(expected) > 1
    assert "e-" in loss_line([1.0, 2.0 + 1e-9], [1.0, 2.0]) and "difference 0.5" in loss_line([3.0], [2.0])


def test_the_sums_of_a_rank_are_those_of_its_events(trace: StepTrace) -> None:
    totals = rank_totals(trace)
    assert [one.rank for one in totals] == list(range(64))
    for rank in (0, 13, 63):
        own = [event for event in trace.events if event.rank == rank]
        one = totals[rank]
        assert one.sent == sum(event.bytes for event in own if event.kind == "send") == sum(
            line.bytes for line in step_traffic(MODEL, TRAIN, LAYOUT, rank, select).values())
        assert one.computing == pytest.approx(
            float(sum(event.duration for event in own if event.kind == "compute"))
        )
        assert one.end == float(max(event.end for event in own)) and one.hidden == overlap(own, rank)
        assert one.memory == sum(trace.memory[rank].values())


def test_the_messages_of_the_groups_are_all_messages(trace: StepTrace) -> None:
    axes = axis_messages(trace.events)
    assert list(axes) == ["dp", "pp", "tied", "tp"]
    planned: dict[str, tuple[int, int]] = dict.fromkeys(axes, (0, 0))
    for rank in range(LAYOUT.ranks):
        for line, totals in step_traffic(MODEL, TRAIN, LAYOUT, rank, select).items():
            messages, nbytes = planned[line.axis]
            planned[line.axis] = messages + totals.messages, nbytes + totals.bytes
    assert axes == planned


def test_many_ranks_are_shown_in_few_lines(trace: StepTrace) -> None:
    lines = rank_lines(trace, rank_totals(trace))
    assert len(lines) < 30 and max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert "of 64 ranks" in text and "56 to 63" in text and "rank 1:" not in text
    few = rank_totals(trace)[:LISTED]
    assert len(rank_lines(trace, few)) == LISTED


def test_a_long_pipeline_is_sampled(trace: StepTrace) -> None:
    from dataclasses import replace
    long = replace(trace, layout=Layout(pp=100))
    totals = [replace(rank_totals(trace)[0], rank=rank) for rank in range(100)]
    lines = rank_lines(long, totals)
    assert len(lines) < STAGES + 20 and any("every 4th" in line for line in lines)


def test_the_files_of_many_ranks_hold_a_sample_and_say_so(trace: StepTrace, tmp_path: Path,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minipar.cli.trace.SHOWN", 10)
    lines = report(tmp_path, trace, NETWORK, 8 * 8 * 8)
    assert any("10 of 64 ranks" in line for line in lines)
    rows = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert {row["pid"] - 1 for row in rows} == set(sample_of_ranks(LAYOUT, 10)) == {0, 1, 2, *range(8, 64, 8)}
    assert len(json.loads((tmp_path / "summary.json").read_text())["memory"]) == 64
    for picture in ("timeline.png", "memory.png"):
        assert 10_000 < (tmp_path / picture).stat().st_size < 500_000


def test_the_memory_of_many_ranks_is_that_of_the_fullest_of_each_stage(trace: StepTrace) -> None:
    ranks = fullest_ranks(trace)
    assert len(ranks) == 8
    for pp_rank, rank in enumerate(ranks):
        held = [sum(trace.memory[other].values()) for other in stage_ranks(LAYOUT, pp_rank)]
        assert rank in stage_ranks(LAYOUT, pp_rank) and sum(trace.memory[rank].values()) == max(held)
    assert fullest_ranks(trace, most=64) == list(range(64)) and len(fullest_ranks(trace, most=3)) == 3


def test_a_spread_names_its_ranks() -> None:
    assert Spread.of({7: 1.0, 3: 1.0, 5: 4.0}) == Spread(1.0, 7, 1.0, 4.0, 5)
