"""Compressed models and caches are served as they are: exact against the same compressed model, and with a
stated difference against the original.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minipar.compress.prune.stored import store_as_bitmaps, weight_bytes
from minipar.compress.prune.structured import shrink
from minipar.compress.quantize.model import WHOLE, quantize_dynamic, quantize_weights
from minipar.compress.quantize.scheme import Scheme
from minipar.errors import ConfigError
from minipar.inference.completion import complete
from minipar.inference.engine import Engine
from minipar.inference.options import EngineOptions
from minipar.inference.requests import Sampling, TextRequest
from minipar.nn import GPT
from minipar.proof.serving import (
    RecordingEngine,
    RoundedCache,
    opinionated,
    require_sound_memory,
    written_plainly,
)
from tests.inference.models import random_requests
from tests.refusals import refused

OPTIONS = EngineOptions(batch=4, rows=11, block_size=3, blocks=14)
SIZES: dict[str, Any] = dict(heads=4, width=16)


def pruned() -> GPT:
    model = opinionated(12, **SIZES)
    shrink(model, units=0.5, heads=0.5)
    return model


def with_zeros() -> GPT:
    model = opinionated(12, **SIZES)
    for p in model.parameters():
        if p.ndim == 2:
            p.data[np.abs(p.data) < np.quantile(np.abs(p.data), 0.8)] = 0
    return model


def sparse() -> GPT:
    model = with_zeros()
    store_as_bitmaps(model)
    return model


def quantised(scheme: Scheme, **options: Any) -> Callable[[], GPT]:
    def make_it() -> GPT:
        model = opinionated(12, **SIZES)
        quantize_weights(model, scheme, **options)
        return model
    return make_it


def dynamic() -> GPT:
    model = opinionated(12, **SIZES)
    quantize_dynamic(model)
    return model


def served(model: GPT, requests: list[TextRequest], options: EngineOptions = OPTIONS) -> RecordingEngine:
    engine = RecordingEngine(model, options=options)
    complete(engine, requests)
    return engine


@pytest.mark.parametrize("make_it", [
    pytest.param(quantised(Scheme(8, axis=1)), id="int8"),
    pytest.param(quantised(Scheme(4, axis=1, group=4)), id="4-bit"),
    pytest.param(dynamic, id="int8-products"),
    pytest.param(pruned, id="pruned-heads"), pytest.param(sparse, id="bitmaps")])
def test_a_compressed_model_is_served_exactly(make_it: Callable[[], GPT]) -> None:
    model, requests = make_it(), random_requests(np.random.default_rng(2), 12, 6)
    engine = served(model, requests)
    for number, request in enumerate(requests):
        tokens, logits = written_plainly(model, request)
        np.testing.assert_allclose(
            engine.logits[number, 0], logits, rtol=1e-12, atol=1e-12 * np.abs(logits).max()
        )


def test_bitmaps_have_the_bits_of_the_dense_model_in_less_memory() -> None:
    small, request = sparse(), TextRequest([1, 2, 3], 8, Sampling(temperature=0))
    dense = with_zeros()
    assert np.array_equal(served(small, [request]).logits[0, 0], served(dense, [request]).logits[0, 0])
    assert weight_bytes(small) < 0.6 * weight_bytes(dense)


def test_a_pruned_model_has_a_smaller_cache() -> None:
    sizes = [Engine(model).runner.caches[0].token_bytes for model in (opinionated(12, **SIZES), pruned())]
    assert sizes[1] == sizes[0] // 2


@pytest.mark.parametrize("options", [
    dict(batch=4, rows=11, block_size=3, blocks=14), dict(batch=8, rows=50),
    dict(batch=3, rows=7, invariant=True), dict(batch=4, rows=11, block_size=3, blocks=9, preemption="swap")])
def test_an_int8_cache_is_that_of_one_request_alone(options: dict[str, Any]) -> None:
    model, requests = opinionated(12, **SIZES), random_requests(np.random.default_rng(4), 12, 6)
    engine = served(model, requests, EngineOptions(kv="int8", **options))
    for number, request in enumerate(requests):
        tokens, logits = written_plainly(model, request, cache_type=RoundedCache)
        np.testing.assert_allclose(
            engine.logits[number, 0], logits, rtol=1e-12, atol=1e-12 * np.abs(logits).max()
        )
    require_sound_memory(engine)


def test_an_int8_cache_is_small_and_near() -> None:
    """The stated difference: each number is off by at most half a step, 1 / 254 of its row's largest."""
    model = opinionated(12, dtype=np.float32, **SIZES)
    requests = [TextRequest([number, 3, 1], 1, Sampling(temperature=0)) for number in range(11)]
    exact = served(model, requests)
    small = served(model, requests, EngineOptions(kv="int8"))
    scale = max(np.abs(logits).max() for logits in exact.logits.values())
    off = max(np.abs(exact.logits[key][0] - small.logits[key][0]).max() for key in exact.logits) / scale
    assert 0 < off < 0.05
    layers, heads, K = 2, 4, 4
    assert small.runner.caches[0].token_bytes == layers * 2 * heads * (K + 4)
    assert exact.runner.caches[0].token_bytes == layers * 2 * heads * K * 4


def test_a_product_that_mixes_requests_is_refused() -> None:
    model = opinionated(12, **SIZES)
    quantize_dynamic(model, activations=WHOLE)
    with refused(ConfigError, "range of all rows", item="blocks.0.attention.qkv"):
        Engine(model)


def test_an_unknown_cache_is_refused() -> None:
    with refused(ConfigError, item="kv"):
        EngineOptions(kv="int3")
