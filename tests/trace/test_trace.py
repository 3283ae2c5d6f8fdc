"""A step under the clock is the schedule's simulation, and what ranks hold is what the formulas say."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minipar.cli.trace import message_bytes
from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.comm.wrappers.clock import Clock
from minipar.comm.wrappers.network import Network
from minipar.comm.wrappers.timeline import Event
from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.nn import Part
from minipar.nn.counts import computed_pairs, forward_flops
from minipar.parallel.pipeline import Execution
from minipar.plan.activations import TapeBytes
from minipar.plan.parameters import count, rank_shapes
from minipar.plots.trace import draw_timelines
from minipar.proof.case import text_of
from minipar.schedules.closed_forms import closed_bubble, closed_peaks
from minipar.schedules.instruction import Instruction
from minipar.schedules.simulate import Timeline
from minipar.trace.flops import part_flops
from minipar.trace.predict import bytes_per_link, overlap, predicted
from minipar.trace.step import StepTrace, trace_step
from minipar.trace.tracer import Tracer
from tests.commands import call
from tests.ranks import ranks

FREE = Network(0, 0)
VOCABULARY = 11


def traced(comm: Communicator, layout: Layout, micro_batches: int, *, network: Network = FREE,
           equal: bool = True, layers: int = 0, **values: Any) -> StepTrace | None:
    """equal: all stages take 1 for F and 2 for a whole backward, whatever they compute."""
    model = ModelConfig(VOCABULARY, context=5, layers=layers or 2 * layout.pp, heads=2, width=8)
    train = TrainConfig(**{**dict[str, Any](batch=micro_batches, micro_batches=micro_batches), **values})
    split = layout.pipeline.startswith(("zb", "dual"))
    flops = (lambda one: 1 if one.kind != "B" or split else 2) if equal else None
    return trace_step(comm, layout, model, train, *text_of(VOCABULARY), network, 1.0 if equal else 1e6, flops)


def on_threads(layout: Layout, micro_batches: int, **values: Any) -> StepTrace:
    (trace, *_) = run(layout.ranks, lambda comm: traced(comm, layout, micro_batches, **values))
    assert trace is not None
    return trace


@pytest.mark.parametrize("pp", [2, 3, 5, 8])
@pytest.mark.parametrize("schedule", ["gpipe", "1f1b", "interleaved", "zb-h1"])
def test_the_measured_bubble_is_the_published_one(schedule: str, pp: int) -> None:
    """As an exact fraction, and so is every start and end."""
    trace = on_threads(Layout(pp=pp, pipeline=schedule), pp + 1)
    expected = predicted(trace, FREE, 0)
    assert (trace.measured.start, trace.measured.end) == (expected.start, expected.end)
    virtual = trace.schedule.stages // pp
    assert trace.measured.bubble() == closed_bubble(schedule, pp, pp + 1, virtual=virtual)


@ranks(2, 3, 4, mpi=[3])
@pytest.mark.parametrize("schedule", ["1f1b", "zb-h2", "zb-v", "dualpipev", "looped-bfs", "eager-1f1b",
                                      "naive"])
def test_both_engines_tell_the_simulated_time(comm: Communicator, schedule: str) -> None:
    trace = traced(comm, Layout(pp=comm.size, pipeline=schedule), 5)
    if trace is not None:
        expected = predicted(trace, FREE, 0)
        assert trace.measured.bubble() == expected.bubble() and trace.measured.bubble(
            over="span"
        ) == expected.bubble(over="span")
        assert (trace.measured.start, trace.measured.end) == (expected.start, expected.end)


def test_with_real_work_and_a_real_network() -> None:
    """Stages of unequal work, micro-batches of unequal sizes, other axes beside the pipeline; then messages
    that cost time.
    """
    layout = Layout(pp=3, dp=2, stage_layers=(1, 3, 1))
    trace = on_threads(layout, 4, equal=False, layers=5, batch=14)
    assert trace.samples == [2, 2, 2, 1]
    expected = predicted(trace, FREE, 0)
    assert trace.measured.makespan == expected.makespan and trace.measured.bubble() == expected.bubble()
    assert trace.measured.busy[1] > 2 * trace.measured.busy[0]
    slow = Network(Fraction(1, 2), Fraction(1, 1000))
    trace = on_threads(Layout(pp=3), 6, network=slow)
    message = 5 * 8 * 4
    assert trace.measured.makespan == predicted(trace, slow, message).makespan > 3 * 8


@pytest.mark.parametrize("layout", [
    Layout(pp=2, tp=2), Layout(pp=2, tp=2, sequence_parallel=True), Layout(pp=3, tp=2, pipeline="gpipe"),
    Layout(pp=4), Layout(pp=2, tp=2, pipeline="zb-h1"), Layout(pp=2, tp=2, dp=2),
    Layout(pp=2, tp=2, pipeline="interleaved"),
], ids=lambda layout: f"{layout.pipeline} pp={layout.pp} tp={layout.tp} dp={layout.dp} "
                      f"{layout.sequence_parallel}")
@pytest.mark.parametrize("network", [Network(1e-5, 1e-9), Network(1e-2, 1e-6)], ids=["fast", "slow"])
def test_a_link_that_is_shared_out_is_part_of_the_prediction(layout: Layout, network: Network) -> None:
    """Messages within a stage and between stages take turns on each rank's link: every start and end, as an
    exact fraction.
    """
    def body(comm: Communicator) -> StepTrace | None:
        model = ModelConfig(12, context=6, layers=2 * layout.pp, heads=2, width=8)
        return trace_step(comm, layout, model, TrainConfig(batch=4 * layout.dp, micro_batches=4),
                          *text_of(12), network, 1e9)

    trace = run(layout.ranks, body)[0]
    assert trace is not None
    tokens = 3 if layout.sequence_parallel else 6
    expected = predicted(trace, network, tokens * 8 * 4)
    assert (trace.measured.start, trace.measured.end) == (expected.start, expected.end)
    if layout.tp > 1:  # the test can fail: without turns, it is another time
        free = replace(trace, exact=False)
        assert predicted(free, network, tokens * 8 * 4).end != trace.measured.end


def compared(layout: Layout, *, batch: int = 4, **sizes: Any) -> tuple[bool, bool]:
    """Whether prediction and measurement agree exactly, on a slow network: every start and end; the makespan.
    """
    slow = Network(1e-2, 1e-6)

    def body(comm: Communicator) -> tuple[bool, bool] | None:
        model = ModelConfig(
            **{**dict(vocabulary=12, context=6, layers=2 * layout.pp, heads=2, width=8), **sizes}
        )
        train = TrainConfig(batch=batch * layout.dp, micro_batches=4)
        trace = trace_step(comm, layout, model, train, *text_of(12), slow, 1e9)
        if trace is None:
            return None
        expected, measured = predicted(trace, slow, message_bytes(model, train, layout)), trace.measured
        return ((measured.start, measured.end) == (expected.start, expected.end),
                measured.makespan == expected.makespan)

    found = run(layout.ranks, body)[0]
    assert found is not None
    return found


@pytest.mark.parametrize("layout, sizes", [
    (Layout(pp=2, tp=2, pipeline="zb-h1"), dict(heads=3, width=12)), (Layout(tp=2), dict(hidden=33)),
    (Layout(pp=2, dp=2), {}), (Layout(pp=2, dp=2, gradients="parameter"), {}),
], ids=str)
def test_the_prediction_is_exact_for_equal_micro_batches(layout: Layout, sizes: dict[str, int]) -> None:
    assert compared(layout, **sizes) == (True, True)


@pytest.mark.parametrize("layout, values, makespan", [
    (Layout(pp=2, tp=3), dict(heads=4), True),
    (Layout(pp=2, tp=2, sequence_parallel=True), dict(context=7), True),
    (Layout(pp=2, dp=2, gradients="buckets"), {}, False), (Layout(pp=3), dict(batch=5), False),
], ids=str)
def test_where_the_prediction_is_not_exact(layout: Layout, values: dict[str, int], makespan: bool) -> None:
    """As `minipar trace --help` says. Skewed tp ranks: single starts and ends differ, the makespan does not.
    Buckets that are sent during backward, and unequal micro-batches: the makespan differs, too.
    """
    assert compared(layout, **values) == (False, makespan)


def test_a_rank_that_is_held_up_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Execution.forward

    def slow(execution: Execution, stage: int, micro: int) -> None:
        if (stage, micro) == (1, 3):
            clock = execution.pp
            while not isinstance(clock, Clock):
                clock = clock.inner                                 # type: ignore[attr-defined]
            clock.sleep(5)
        original(execution, stage, micro)

    assert on_threads(Layout(pp=2), 4).measured.bubble() == Fraction(1, 5)
    monkeypatch.setattr(Execution, "forward", slow)
    assert on_threads(Layout(pp=2), 4).measured.bubble() != Fraction(1, 5)


@pytest.mark.parametrize("pp, micro_batches", [(2, 4), (4, 8), (4, 3)])
@pytest.mark.parametrize("schedule", ["gpipe", "1f1b"])
@pytest.mark.parametrize("recompute", ["none", "selective", "full"])
def test_activations_at_their_peak_are_those_in_flight(schedule: str, recompute: str, pp: int,
                                                       micro_batches: int) -> None:
    trace = on_threads(Layout(pp=pp, pipeline=schedule), micro_batches, recompute=recompute)
    model = ModelConfig(VOCABULARY, context=5, layers=2 * pp, heads=2, width=8)
    one = TapeBytes(model, 1, 4, computed_pairs, recompute=recompute)
    for stage, held in enumerate(trace.memory):
        expected = closed_peaks(schedule, pp,
                                micro_batches)[stage] * sum(one.of(2, stage == 0, stage == pp - 1).values())
        assert abs(held["activations"] - expected) <= 0.05 * expected, (stage, held, expected)
    if (pp, micro_batches) == (4, 8) and schedule == "1f1b":
        ratio = on_threads(Layout(pp=4, pipeline="gpipe"), 8, recompute=recompute).memory[0]["activations"]
        assert abs(ratio / trace.memory[0]["activations"] - 2) < 0.05 * 2  # m = 8 against p = 4


@pytest.mark.parametrize("layout", [
    Layout(pp=3, pipeline="gpipe"), Layout(pp=2, dp=2), Layout(pp=2, tp=2),
    Layout(pp=2, tp=2, sequence_parallel=True),
    Layout(pp=3, virtual=2, pipeline="interleaved"), Layout(pp=2, pipeline="zb-v"),
    Layout(pp=3, pipeline="zb-h1")], ids=str)
def test_the_ledger_is_what_every_rank_holds(layout: Layout) -> None:
    """To the byte; where backward is split, W's inputs and gradients count as a whole tape, which they nearly
    are.
    """
    trace = on_threads(layout, 4, batch=8, layers=6)
    for rank, (held, ledger) in enumerate(zip(trace.memory, trace.ledger, strict=True)):
        assert (held["weights"], held["gradients"],
                held["optimizer"]) == (ledger.weights, ledger.gradients, ledger.optimizer)
        if trace.schedule.split:
            assert abs(held["activations"] - ledger.activations) <= 0.15 * ledger.activations, rank
        else:
            assert held["activations"] == ledger.activations, rank


def test_the_picture_names_the_ranks_of_the_world() -> None:
    trace = on_threads(Layout(pp=2, tp=2, dp=2), 2, batch=4)
    figure = draw_timelines(trace.measured, trace.measured, "both", trace.layout.dp * trace.layout.tp)
    assert [[label.get_text() for label in axes.get_yticklabels()]
            for axes in figure.axes] == [["rank 0", "rank 4"]] * 2
    assert "ranks 0 and 4 of 8" in figure.get_suptitle()
    trace = on_threads(Layout(pp=2), 2)
    assert "all ranks, 0 to 1" in draw_timelines(trace.measured, trace.measured, "both").get_suptitle()


def test_the_other_lines_of_memory() -> None:
    trace = on_threads(Layout(pp=1, tp=2), 2)
    model = ModelConfig(VOCABULARY, context=5, layers=2, heads=2, width=8)
    for rank, held in enumerate(trace.memory):
        weights = 4 * count(rank_shapes(model, 2, rank))
        assert (held["weights"], held["gradients"], held["optimizer"],
                held["messages"]) == (weights, weights, 2 * weights, 0)


def test_the_work_of_parts_adds_up() -> None:
    model = ModelConfig(13, context=9, layers=5, heads=3, width=12, hidden=37)
    whole = sum(forward_flops(model, 4, 9, computed_pairs).values())
    parts = [Part(True, range(2), False), Part(False, range(2, 5), False), Part(False, range(5, 5), True)]
    assert sum(part_flops(model, part, 4, 3, rank) for part in parts for rank in range(3)) == whole
    assert sum(part_flops(model, part, 4) for part in parts) == whole


@pytest.mark.parametrize("recompute, again", [
    ("none", []), ("selective", ["scores", "weighted values"]),
    ("full", ["qkv", "scores", "weighted values", "out", "up", "down"]),  # blocks, hence not the head
])
@pytest.mark.parametrize("schedule", ["1f1b", "zb-h1"])
def test_recomputation_is_work(schedule: str, recompute: str, again: list[str]) -> None:
    trace = on_threads(Layout(pp=2, pipeline=schedule), 3, equal=False, recompute=recompute)
    flops = forward_flops(ModelConfig(VOCABULARY, context=5, layers=4, heads=2, width=8), 3, 5,
                          computed_pairs)
    assert 10**6 * sum(trace.measured.busy) == 3 * sum(flops.values()) + sum(flops[kind] for kind in again)


def test_overlap_is_the_share_of_sending_spent_computing() -> None:
    events = [Event(0, "compute", 0, 10, ""), Event(0, "send", 8, 4, "", peer=1, bytes=7, track="link"),
              Event(0, "send", 20, 4, "", peer=1, bytes=5, track="link"), Event(1, "compute", 0, 30, "")]
    assert overlap(events, 0) == 0.25 and overlap(events, 1) is None
    assert bytes_per_link(events) == {(0, 1): 12}


def test_the_tracer_is_silent_until_it_is_told() -> None:
    def body(comm: Communicator) -> None:
        tracer = Tracer(Clock(comm, FREE, 1.0), lambda one: 1)  # type: ignore[arg-type]
        with tracer.watch(Instruction("F", 0, 0), None):
            pass
        assert tracer.intervals == [] and tracer.clock.now == 0

    run(1, body)


def test_the_command_writes_what_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "text.txt"
    text.write_text("to be or not to be, that is the question. " * 60)
    assert call("trace", "--data", text, "--layers", 2, "--heads", 2, "--width", 8, "--context", 8, "--batch",
                4, "--micro-batches", 4, "--pp", 2, "--engine", "threads", "--flops-rate", 1e6, "--alpha", 0,
                "--beta", 0, "--out", tmp_path / "trace") == 0
    out = capsys.readouterr().out
    assert "1f1b: 2 stage(s), 4 micro-batch(es)" in out and "rank 1: " in out
    values = json.loads((tmp_path / "trace" / "summary.json").read_text())
    assert values["measured"] == values["predicted"] and len(values["memory"]) == 2
    assert np.isclose(values["measured"]["bubble_of_ideal"], values["measured"]["bubble_of_total"]
                      / (1 - values["measured"]["bubble_of_total"]))
    rows = json.loads((tmp_path / "trace" / "trace.json").read_text())["traceEvents"]
    assert {"F0@0", "B3@1"} <= {row["name"] for row in rows}
    for picture in ("timeline.png", "memory.png"):
        assert (tmp_path / "trace" / picture).stat().st_size > 10_000


def test_a_timeline_with_other_times_has_another_bubble() -> None:
    """The comparison above sees one instruction that takes longer."""
    trace = on_threads(Layout(pp=2), 4)
    end = [list(row) for row in trace.measured.end]
    end[0][-1] += 1
    other = Timeline(trace.measured.started, tuple(row[-1] for row in end), trace.measured.busy,
                     trace.schedule, trace.measured.start, tuple(map(tuple, end)))
    assert other.bubble() != trace.measured.bubble()
