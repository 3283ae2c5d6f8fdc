"""All passes together: real models, random graphs, and the catalogue's numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

import minipar as mp
from minipar.autograd import Tensor, layernorm, linear, no_grad
from minipar.autograd.fused import plain_causal_attention
from minipar.config import PRESETS
from minipar.graph import OpGraph, OpNode, capture, common, elementwise, fold_norms, merge_linears, optimise
from minipar.graph.references import Ref
from minipar.nn.dropout import Dropout
from minipar.plan.counts import forward_flops
from tests.graph import fuzz
from tests.graph.functions import array, equal_bits, largest_difference, ops, random_function, random_gpt

ROUNDED = 1e-10
SIZES = {field.name for field in fields(mp.ModelConfig)}
TINY = mp.ModelConfig(vocabulary=11, context=8, layers=2, heads=2, width=8)


def config_of(preset: str) -> mp.ModelConfig:
    """The model of a preset with one layer and a short context, so that the test is fast."""
    values: dict[str, Any] = {key: value for key, value in PRESETS[preset].items() if key in SIZES}
    return mp.ModelConfig(**{**values, "layers": 1, "context": 24})


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_keep_their_logits(preset: str) -> None:
    model = random_gpt(config_of(preset))
    tokens, other = (np.random.default_rng(seed).integers(256, size=(1, 24)) for seed in (0, 1))
    graph = capture(model, tokens)
    found = optimise(graph)
    with no_grad():
        logits = model(other).data
    assert np.array_equal(graph.run(other)[0], logits)
    assert abs(found.graph.run(other)[0] - logits).max() < ROUNDED * abs(logits).max()
    assert (found.reports[0].nodes, found.reports[-1].nodes) == (15, 11)
    assert equal_bits(graph, optimise(graph, exact=True).graph, other)


def test_random_graphs() -> None:
    """A sample of `python -m tests.graph.fuzz`."""
    assert [fault for seed in range(20) for fault in fuzz.faults(seed)] == []


def without_order(graph: OpGraph, node: OpNode) -> bool:
    """The rule of fuse_elementwise, without its look at the order in memory."""
    shapes = [graph.size_of(name).shape for name in node.inputs]
    return node.op in elementwise.ELEMENTWISE and all(
        one in (node.shape, node.shape[-1:], ()) for one in shapes
    )


def without_inputs(arguments: dict) -> str:
    return str([value for value in arguments.values() if not isinstance(value, Ref)])


@pytest.mark.parametrize("owner, name, spoilt", [(elementwise, "_works_on_rows", without_order),
                                                 (common, "repr", without_inputs)])
def test_the_fuzzer_sees_planted_bugs(owner: object, name: str, spoilt: Callable,
                                      monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner, name, spoilt, raising=False)
    assert any(fuzz.faults(seed) for seed in range(30))


def test_the_fuzzer_uses_every_pass() -> None:
    removed: dict[str, int] = {}
    found = set()
    for seed in range(15):
        function, inputs = random_function(seed)
        result = optimise(capture(function, *map(Tensor, inputs)))
        found |= set(ops(result.graph))
        for report in result.reports[1:]:
            removed[report.name] = removed.get(report.name, 0) + report.removed
    assert {name for name, count in removed.items() if not count} == {"LayerNorm into linear"}
    assert {"normalise", "linear_add", "linear_gelu", "add_layernorm", "masked_softmax",
            "elementwise"} <= found


def test_the_products_have_the_flops_of_the_plan() -> None:
    B, T = 3, 8
    graph = capture(random_gpt(TINY), np.zeros((B, T), np.int64))
    counted = 0
    for node in graph.nodes:
        bias = B * T * node.shape[-1] if node.op == "linear" and node.arguments.get("b") else 0
        counted += node.flops - bias if node.op in ("linear", "causal_attention", "unembedding") else 0
    assert counted == sum(forward_flops(TINY, B, T).values())


def test_the_reports_add_up() -> None:
    found = optimise(capture(random_gpt(TINY), np.zeros((1, 8), np.int64)))
    first, last = found.reports[0], found.reports[-1]
    assert (
        first.nodes - sum(report.removed for report in found.reports) == last.nodes == len(found.graph.nodes)
    )
    assert last.moved_bytes < first.moved_bytes and last.flops < first.flops
    assert first.flops - last.flops == 4 * (8 * 8) * 2              # the affine of four LayerNorms, 2 each


def test_an_attention_op_by_op_is_fused() -> None:
    model = random_gpt(TINY)
    tokens = np.random.default_rng(2).integers(11, size=(2, 8))
    graph = capture(lambda x: model(x, attend=lambda layer: plain_causal_attention), tokens)
    found = optimise(graph)
    assert ops(found.graph).count("masked_softmax") == 2
    masks = [
        name for name, one in found.graph.constants.items() if one.shape == (8, 8) and np.isinf(one).any()
    ]
    assert len(masks) == 1                                          # both layers read one mask
    assert largest_difference(graph, found.graph, tokens[::-1]) < 1e-13


def test_k26_two_linear_layers_are_one() -> None:
    w1, w2, x = array(8, 16), array(16, 4), array(5, 8)
    graph = capture(lambda x: linear(linear(x, Tensor(w1)), Tensor(w2)), Tensor(x))
    merged = merge_linears(graph)
    macs = [[node.flops // 2 // 5 for node in one.nodes] for one in (graph, merged)]
    assert macs == [[128, 64], [32]] and sum(macs[0]) == 192
    assert abs(graph.run(x)[0] - merged.run(x)[0]).max() < 2e-14    # the catalogue measured 3.6e-15


def test_k26_the_affine_of_a_layernorm_is_folded() -> None:
    scale, shift, w, x = array(8, seed=1), array(8, seed=2), array(8, 16), array(5, 8)
    graph = capture(lambda x: linear(layernorm(x, Tensor(scale), Tensor(shift)), Tensor(w)), Tensor(x))
    folded = fold_norms(graph)
    assert ops(folded) == ["normalise", "linear"]
    assert abs(graph.run(x)[0] - folded.run(x)[0]).max() < 2e-14    # the catalogue measured 1.8e-15


def test_dropout_stays_where_it_is() -> None:
    model, tokens = random_gpt(TINY), np.random.default_rng(3).integers(11, size=(2, 8))
    drop = Dropout(0.5, 0, 1, np.arange(2))
    graph = capture(lambda x: model(x, dropout=drop), tokens)
    found = optimise(graph)
    kept = [node for node in graph.nodes if node.op == "dropout"]
    assert len(kept) == 5 and largest_difference(graph, found.graph, tokens[::-1]) < 1e-13
