"""The planner's seconds against published tables, and its terms against their formulas."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from minipar.config import GPT2, Layout, ModelConfig, TrainConfig
from minipar.errors import LayoutError, MiniparError
from minipar.plan.calibrate import MeasuredStep, calibrate
from minipar.plan.counts import Architecture, parameter_count
from minipar.plan.groups import collective
from minipar.plan.layer_time import layer_work
from minipar.plan.machine import machine
from minipar.plan.models import MODELS
from minipar.plan.pipeline_time import StageSeconds, closed_pipeline, simulated_pipeline
from minipar.plan.software import SOFTWARE, Software
from minipar.plan.step_time import step_time
from minipar.plan.utilisation import days_by_narayanan, hardware_flops, model_flops, utilisation
from minipar.schedules.closed_forms import CLOSED_FORMS, closed_bubble
from tests.plan.published import FULL, HFU, MFU, SELECTIVE, TABLE_1, TERAFLOPS, eq3

A100 = machine("a100-80g")


def test_ten_models_from_two_rows() -> None:
    """Narayanan et al. 2021, table 1, calibrated on its first and ninth row only."""
    fitted = calibrate(A100, [TABLE_1[0].measured(), TABLE_1[8].measured()])
    predicted = [
        measured * row.seconds / row.measured().predicted(fitted, Software())
        for row, measured in zip(TABLE_1, TERAFLOPS, strict=True)
    ]
    assert all(abs(one / measured - 1) < 0.09 for one, measured in zip(predicted, TERAFLOPS, strict=True)), (
        predicted
    )
    wrong = [
        (a, b)
        for a in range(10)
        for b in range(a)
        if (TERAFLOPS[a] - TERAFLOPS[b]) * (predicted[a] - predicted[b]) < 0
        and abs(predicted[a] / predicted[b] - 1) > 0.011
    ]
    assert len(wrong) <= 2, (predicted, wrong)


@pytest.mark.parametrize("pair", [(0, 2), (1, 2), (1, 3)])
def test_selective_recomputation_from_two_rows(pair: tuple[int, int]) -> None:
    """Korthikanti et al. 2022, table 5: calibrated on two times with full recomputation."""
    software = SOFTWARE["megatron-2022"]
    fitted = calibrate(A100, [FULL[number].measured() for number in pair], software)
    for full, selective in zip(FULL, SELECTIVE, strict=True):
        gain = selective.measured(True, "selective").predicted(fitted, software) / full.measured().predicted(
            fitted, software
        )
        assert gain == pytest.approx(selective.seconds / full.seconds, rel=0.03), full.model


def test_a_layer_takes_the_published_milliseconds() -> None:
    """Korthikanti et al. 2022, table 4: forward and backward of a layer of the 22B model on 8 GPUs."""
    at_230 = replace(A100, rate=230e12, launch=0.0)
    for sequence_parallel, recompute, forward, backward in (
        (False, "none", 7.7, 11.9),
        (True, "none", 7.2, 11.8),
        (False, "full", 7.7, 19.5),
        (False, "selective", 7.7, 13.2),
        (True, "selective", 7.2, 13.1),
    ):
        work = layer_work(
            MODELS["gpt-22b"], 4, 8, sequence_parallel, recompute, 2, at_230, SOFTWARE["megatron-2022"]
        )
        times = [1e3 * (each.compute(at_230) + each.talk) for each in (work.forward, work.backward)]
        assert times == pytest.approx([forward, backward], rel=0.035), (sequence_parallel, recompute)


@pytest.mark.parametrize("number", range(4))
def test_utilisation_is_the_published(number: int) -> None:
    row = SELECTIVE[number]
    model, train = MODELS[row.model], row.train("selective")
    assert 100 * utilisation(model_flops(model, row.batch), row.seconds, row.ranks, A100) == pytest.approx(
        MFU[number], abs=0.2
    )
    published = hardware_flops(model, train, "korthikanti")
    assert 100 * utilisation(published, row.seconds, row.ranks, A100) == pytest.approx(HFU[number], abs=0.2)
    assert model_flops(model, row.batch) < hardware_flops(model, train) < published


def test_equation_3_is_the_count_with_full_recomputation() -> None:
    for row in TABLE_1:
        assert hardware_flops(MODELS[row.model], row.train()) == pytest.approx(
            eq3(row.model, row.batch), rel=1e-12
        )
    assert round(days_by_narayanan(450e9, 1e12, 3072, 163e12)) == 83  # the paper says 84


def test_parameters_are_the_published() -> None:
    assert parameter_count(GPT2) == 124_439_808
    gpt3 = MODELS["gpt3-175b"]
    D, L, V, T = 12288, 96, 51200, 2048
    assert parameter_count(gpt3, final_norm=False) == 12 * L * D**2 * (
        1 + Fraction(13, 12 * D) + Fraction(V + T, 12 * L * D)
    )
    assert parameter_count(replace(gpt3, vocabulary=50257)) == 174_604_259_328
    for name, billions in (
        ("gpt-1.7b", 1.7),
        ("gpt-18b", 18.4),
        ("gpt-145b", 145.6),
        ("gpt-530b", 529.6),
        ("gpt-1t", 1008.0),
        ("llama-7b", 6.7),
        ("llama-13b", 13.0),
        ("llama-65b", 65.2),
        ("llama2-70b", 69.0),
    ):
        assert parameter_count(MODELS[name]) / 1e9 == pytest.approx(billions, abs=0.1), name
    assert parameter_count(MODELS["llama-7b"]) == 6_738_415_616


@pytest.mark.parametrize("name", sorted(CLOSED_FORMS))
def test_the_pipeline_term_is_the_papers_bubble(name: str) -> None:
    """Equal stages: idle time / (idle + work) is the schedule's published bubble (Qi et al. 2023 among them).
    """
    form = CLOSED_FORMS[name]
    v = 2 if name in ("interleaved", "looped-bfs", "zb-v", "dualpipev") else 1
    p, m = 4, 12
    stage = StageSeconds((1.0, 0.0), (1.0, 0.0), (1.0, 0.0))
    layout = Layout(pp=p, pipeline=name, virtual=v if name in ("interleaved", "looped-bfs") else 0)
    times = closed_pipeline(layout, m, [stage] * (p * v), 0.0, blocking=True)
    assert times.compute == 3 * m * v and times.messages == times.tensor == 0
    assert times.idle / (times.idle + times.compute) == pytest.approx(
        float(closed_bubble(name, p, m, v)), abs=1e-12
    )
    if form.over == "makespan":
        simulated = simulated_pipeline(layout, m, [stage] * (p * v), 0.0, blocking=True)
        assert simulated == pytest.approx(times, abs=1e-12)


@pytest.mark.parametrize("name", ["gpipe", "1f1b"])
@pytest.mark.parametrize("message", [0.0, 0.25])
def test_uneven_stages_and_messages_as_simulated(name: str, message: float) -> None:
    stages = [StageSeconds((F, 0.5), (2 * F, 0.5), (0.0, 0.0)) for F in (1.0, 1.0, 1.0, 3.0)]
    layout = Layout(pp=4, pipeline=name)
    closed = closed_pipeline(layout, 9, stages, message, blocking=True)
    assert sum(closed) == pytest.approx(
        sum(simulated_pipeline(layout, 9, stages, message, blocking=True)), rel=1e-12
    )


def test_terms_are_their_formulas() -> None:
    """Each term by itself, on a machine with round numbers."""
    plain = replace(A100, rate=1e12, launch=0.0, memory_rate=1e15)
    model, train = (
        ModelConfig(1000, 64, 4, 4, 64),
        TrainConfig(batch=16, micro_batches=4, precision="float16"),
    )
    one = step_time(model, train, Layout(), plain)
    assert one.compute == pytest.approx(model_flops(model, 16) / 1e12, rel=1e-2)
    assert (one.tensor, one.bubble, one.data, one.gathers) == (0, 0, 0, 0)
    two = step_time(model, train, Layout(dp=2), plain)
    assert two.data == pytest.approx(
        collective("all_reduce", 2, 2 * parameter_count(model), 1, plain), rel=1e-12
    )
    zero = [step_time(model, train, Layout(dp=2, zero=stage), plain) for stage in (1, 3)]
    halves = [
        collective(name, 2, 2 * parameter_count(model), 1, plain) for name in ("reduce_scatter", "all_gather")
    ]
    assert [zero[0].data, zero[0].gathers] == pytest.approx(halves)
    assert zero[1].data == pytest.approx(4 * halves[0])  # one per micro-batch
    assert zero[1].gathers == pytest.approx(4 * 2 * halves[1])  # 4 micro-batches of each rank, two gathers
    sharded = step_time(model, train, Layout(tp=2), plain)
    message = collective("all_reduce", 2, 4 * 64 * 64 * 2, 1, plain)
    assert (
        sharded.tensor == pytest.approx(4 * (4 * 4 + 2) * message, rel=0.5)
        and sharded.tensor > 4 * 16 * message
    )


def test_recomputation_costs_and_sequence_parallelism_saves() -> None:
    model = MODELS["gpt-22b"]

    def seconds(recompute: str, sequence_parallel: bool = False) -> float:
        train = TrainConfig(batch=4, precision="float16", recompute=recompute)
        return step_time(model, train, Layout(tp=8, sequence_parallel=sequence_parallel), A100).total

    assert seconds("none") < seconds("selective") < seconds("full")
    assert seconds("none", True) < seconds("none")


def test_calibration_finds_what_made_the_rows() -> None:
    made = replace(A100, rate=123e12, launch=4e-4)
    rows = [row.measured() for row in (TABLE_1[0], TABLE_1[5], TABLE_1[9])]
    rows = [replace(row, seconds=row.predicted(made, Software())) for row in rows]
    found = calibrate(A100, rows)
    assert (found.rate, found.launch) == pytest.approx((made.rate, made.launch), rel=1e-6)
    assert found.calibration == "gpt-1.7b, gpt-76b, gpt-1t"


@pytest.mark.parametrize(
    "layout, words",
    [
        (Layout(tp=16), "8 heads"),
        (Layout(pp=5), "4 layers"),
        (Layout(sequence_parallel=True), "tp > 1"),
        (Layout(cp=2), "cp=1"),
        (Layout(dp=32), "dp <= 16"),
        (Layout(tp=4), "tp <= 2"),
        (Layout(pp=2, pipeline="1f1b", virtual=2), "stage"),
    ],
)
def test_impossible_layouts_say_what_to_change(layout: Layout, words: str) -> None:
    model = Architecture(256, 64, 4, 8, 64, kv_heads=2 if layout.tp == 4 else 0)
    with pytest.raises(LayoutError, match=words):
        step_time(model, TrainConfig(batch=16), layout, A100)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), 1e-9])
def test_impossible_rows_are_refused(seconds: float) -> None:
    with pytest.raises(MiniparError):
        calibrate(A100, [MeasuredStep(MODELS["gpt2"], TrainConfig(batch=8), Layout(), seconds)])
