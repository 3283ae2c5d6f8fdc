"""The planner's memory against the formulas and statements of papers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.plan.activations import published
from minipar.plan.counts import Architecture, parameter_count
from minipar.plan.machine import machine
from minipar.plan.memory import MIXED_ADAM, state
from minipar.plan.models import MODELS
from minipar.plan.parameters import count, rank_shapes
from minipar.plan.shares import layer_parameters, rank_parameters
from minipar.plan.software import Software, recipe_of
from minipar.plan.stages import stages_of
from minipar.plan.step_memory import kept_per_layer, step_memory
from tests.plan.published import FULL, SELECTIVE

PLAIN = Software(fragments=0.0)


@pytest.mark.parametrize("name", ["gpt-22b", "gpt3-175b", "gpt-530b", "gpt-1t"])
def test_activations_of_a_layer_are_korthikantis(name: str) -> None:
    """Equations 1, 2 and 4, and table 2: s b h (10 + 24/t + 5 a s/h t), 34/t with sequence parallelism, 2 s b
    h.
    """
    m = MODELS[name]
    sbh = m.context * m.width
    for t, sequence_parallel in ((1, False), (8, False), (8, True)):
        want = published(1, m.width, m.heads, m.context, 1, tp=t, sequence_parallel=sequence_parallel)
        assert kept_per_layer(m, 1, t, sequence_parallel, "none") == pytest.approx(float(want))
    assert kept_per_layer(m, 1, 8, False, "selective") == sbh * (10 + 24 / 8)
    assert kept_per_layer(m, 1, 8, True, "selective") == sbh * 34 / 8
    assert kept_per_layer(m, 1, 8, False, "full") == 2 * sbh


def test_other_parts_change_the_activations() -> None:
    plain = Architecture(100, 64, 2, 8, 64, hidden=100)
    n, D = 64, 64
    base = kept_per_layer(plain, 1, 1, False, "selective")
    assert kept_per_layer(replace(plain, gated=True), 1, 1, False, "selective") - base == 2 * n * 100
    assert base - kept_per_layer(replace(plain, kv_heads=2), 1, 1, False, "selective") == 2 * n * 2 * (
        D - D // 4
    )
    assert kept_per_layer(replace(plain, dropout=0.1), 1, 1, False, "selective") - base == 2 * n * D
    assert kept_per_layer(plain, 1, 1, False, "none", flash=True) - base == n * 4 * 8


@pytest.mark.parametrize("zero, gigabytes", [(0, 120.0), (1, 31.4), (2, 16.6), (3, 1.9)])
def test_zero_is_the_papers_table(zero: int, gigabytes: float) -> None:
    """Rajbhandari et al. 2020, figure 1 and table 1: 7.5 billion parameters, 64 ranks, K = 12."""
    assert state(7_500_000_000, MIXED_ADAM, zero=zero, dp=64).total / 1e9 == pytest.approx(
        gigabytes, abs=0.06
    )
    model = ModelConfig(50000, 1024, 36, 32, 4096)
    train = TrainConfig(batch=64, precision="float16")
    memory = step_memory(model, train, Layout(dp=64, zero=zero), software=PLAIN)
    held = memory.weights + memory.gradients + memory.optimizer
    assert held / parameter_count(model) == pytest.approx(gigabytes / 7.5, rel=0.015)
    assert (memory.gathered > 0) == (zero >= 2)


@pytest.mark.parametrize("tp, pp", [(1, 1), (2, 1), (2, 2), (4, 4)])
@pytest.mark.parametrize("tied", [True, False])
def test_parameters_of_ranks_are_the_listed_ones(tp: int, pp: int, tied: bool) -> None:
    model = ModelConfig(64, 16, 5, 4, 32, tied=tied)
    layout = Layout(tp=tp, pp=pp)
    stages = stages_of(model, layout)
    assert list(rank_parameters(model, layout)) == [
        count(rank_shapes(model, tp, 0, stages.of_rank(rank))) for rank in range(pp)
    ]
    assert 5 * layer_parameters(model, 1) + 64 * 32 * (2 - tied) + 16 * 32 + 64 == parameter_count(model)


def test_models_of_the_paper_fit_only_with_its_techniques() -> None:
    """Korthikanti et al. 2022, figure 1: over 80 GB without recomputation, under it with the paper's
    techniques.
    """
    for row in FULL:
        model, train = MODELS[row.model], row.train("none")
        before = step_memory(model, train, row.layout(), software=PLAIN)
        after = step_memory(model, replace(train, recompute="selective"), row.layout(True), software=PLAIN)
        assert after.total < 80 * 2**30 < before.total, row.model
        assert 4 < before.activations / after.activations < 7, row.model  # "5x"
    assert len(SELECTIVE) == 4


def test_techniques_save_what_they_say() -> None:
    model, layout = MODELS["gpt3-175b"], Layout(tp=8, pp=8)
    train = TrainConfig(batch=64, micro_batches=64, precision="bfloat16", recompute="selective")

    def total(**options: object) -> float:
        return step_memory(model, train, layout, software=replace(PLAIN, **options)).total  # type: ignore[arg-type]

    base = total()
    # 8 micro-batches in flight on the first rank, each with an output of 2 s b h
    assert total(deallocate=False) - base == 8 * 2 * 2048 * 12288
    assert base - total(offload=True) == rank_parameters(model, layout)[0] * 12
    assert total(gradient_bytes=4) - base == rank_parameters(model, layout)[0] * 2
    assert total(fragments=0.5) > base


def test_recipes() -> None:
    assert recipe_of(TrainConfig()).total == 16 and recipe_of(TrainConfig(precision="float16")).total == 16
    assert recipe_of(TrainConfig(precision="bfloat16"), Software(gradient_bytes=4)).total == 18
    assert recipe_of(TrainConfig(dtype="float64", optimizer="sgd")).total == 16
    assert recipe_of(TrainConfig(precision="float16", optimizer="sgd")).total == 8


def test_machines_have_a_reserve() -> None:
    assert machine("a100-80g").usable == 72 * 2**30
