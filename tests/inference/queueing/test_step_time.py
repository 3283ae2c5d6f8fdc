"""The time of a step by hand: what is read, what is computed, and which of both is the limit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from minipar.config import ModelConfig
from minipar.errors import ConfigError
from minipar.inference.batch import make_batch
from minipar.inference.queueing.step_time import LinearTime, RooflineTime, StepShape, fitted_time, step_shape
from minipar.nn import GPT
from minipar.plan.counts import causal_pairs, forward_flops
from minipar.plan.machine import Machine, machine
from minipar.plan.models import MODELS
from tests.refusals import refused

MODEL = ModelConfig(vocabulary=50, context=64, layers=3, heads=2, width=8, tied=False)
SLOW_MEMORY = replace(machine("laptop"), memory_rate=1e6, launch=0.0)
SLOW_PRODUCTS = replace(machine("laptop"), rate=1e6, launch=0.0)


def test_the_shape_of_a_batch() -> None:
    """A prompt of 3 tokens after 5 others, and one decoding text of 10 tokens."""
    batch = make_batch([([1, 2, 3], 5, [0, 1, 2], 0), ([7], 9, [3, 4, 5], 1)], 4)
    assert step_shape(batch) == StepShape(rows=4, wanted=1, pairs=6 + 7 + 8 + 10, cached=8 + 10)


def test_a_whole_prompt_costs_the_flops_of_the_planner() -> None:
    shape = StepShape(rows=20, wanted=20, pairs=causal_pairs(20), cached=20)
    flops = sum(forward_flops(MODEL, 1, 20, causal_pairs).values())
    assert RooflineTime(MODEL, SLOW_PRODUCTS).forward(shape) == pytest.approx(flops / 1e6, rel=1e-12)


def test_decoding_reads_the_weights_of_the_model_and_the_cache() -> None:
    """All parameters but the tables of tokens and positions, of which it reads a row."""
    names = {one.name: one.data.size for one in GPT(MODEL).parameters()}
    weights = sum(size for name, size in names.items() if name not in ("tokens.weight", "positions.weight"))
    cached = 2 * 3 * 8 * 10                                         # keys and values, layers, width, tokens
    found = RooflineTime(MODEL, SLOW_MEMORY, itemsize=4).forward(StepShape(1, 1, 10, 10)) * 1e6 / 4
    assert found == pytest.approx(weights + cached, rel=1e-12)


@pytest.mark.parametrize("model", ["gpt2", "llama-7b", "llama2-70b"])
def test_published_sizes(model: str) -> None:
    """Bytes of keys and values per token in 16 bits: 2 * 2 * layers * width of the keys."""
    expected = {"gpt2": 4 * 12 * 768, "llama-7b": 4 * 32 * 4096, "llama2-70b": 4 * 80 * 1024}
    one: Machine = machine("a100-80g")
    assert RooflineTime(MODELS[model], one).token_bytes == expected[model]
    assert RooflineTime(MODELS[model], one).swap(3) == 3 * expected[model] / one.host_rate


def test_a_planted_line_is_found_again() -> None:
    planted = LinearTime(fixed=2e-3, per_row=1e-4, per_pair=1e-7)
    shapes = [StepShape(rows, rows, pairs, pairs) for rows in (1, 4, 16, 64) for pairs in (10, 1000, 50_000)]
    found = fitted_time([(shape, planted.forward(shape)) for shape in shapes])
    np.testing.assert_allclose([found.fixed, found.per_row, found.per_pair], [2e-3, 1e-4, 1e-7], rtol=1e-9)


def test_no_term_is_negative() -> None:
    """Steps that become faster with more pairs are noise."""
    shapes = [StepShape(rows, rows, pairs, pairs) for rows in (1, 8) for pairs in (10, 100)]
    found = fitted_time([(shape, 1e-3 + 1e-4 * shape.rows - 1e-6 * shape.pairs) for shape in shapes])
    assert found.per_pair == 0 and found.per_row == pytest.approx(1e-4, rel=0.1) and found.fixed > 0
    with refused(ConfigError, item="steps"):
        fitted_time([])
