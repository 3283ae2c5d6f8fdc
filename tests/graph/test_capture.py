"""A captured graph computes what its function computes, also for new inputs; and what cannot be a graph."""

from __future__ import annotations

import ast
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minipar as mp
from minipar.autograd import Tensor, add_bias, exp, mean, no_grad, record, tanh, where
from minipar.autograd.fused import plain_causal_attention
from minipar.compress.quantize.model import quantize_weights
from minipar.compress.quantize.scheme import Scheme
from minipar.errors import GraphError, ShapeError
from minipar.graph import OpGraph, capture
from minipar.nn.dropout import Dropout
from minipar.nn.parameter import ONES, Parameter
from tests.autograd.cases import CASES, IDS, Op, leaves
from tests.graph.functions import array, ops, random_gpt
from tests.ranks import ROOT

TINY = mp.ModelConfig(vocabulary=11, context=8, layers=2, heads=2, width=8)
TOKENS, OTHER = (np.random.default_rng(seed).integers(11, size=(2, 8)) for seed in (1, 2))


@pytest.mark.parametrize("name, op, shapes", CASES, ids=IDS)
def test_each_op_is_captured(name: str, op: Op, shapes: tuple) -> None:
    given = [Tensor(leaf.data) for leaf in leaves(shapes).values()]
    def function(*x: Tensor) -> Tensor | tuple[Tensor, ...]:
        out = op(*x)
        return out if isinstance(out, Tensor) else tuple(out)

    graph = capture(function, *given)
    other = [np.array(0.9 * x.data) for x in given]
    with no_grad():
        direct = function(*map(Tensor, other))
    direct = direct if isinstance(direct, tuple) else (direct,)
    assert [one.tobytes() for one in graph.run(*other)] == [one.data.tobytes() for one in direct]


def unmarked(root: Path) -> set[str]:
    """Functions of autograd that call `record` and are not marked for capture."""
    found = set()
    for path in root.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                calls = {call.func.id for call in ast.walk(node)
                         if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)}
                marks = {mark.id for mark in node.decorator_list if isinstance(mark, ast.Name)}
                if "record" in calls and "captured" not in calls and "capturable" not in marks:
                    found.add(node.name)
    return found


def test_every_op_of_autograd_is_marked(tmp_path: Path) -> None:
    assert unmarked(ROOT / "minipar" / "autograd") == set()
    (tmp_path / "planted.py").write_text("def forgotten(x):\n    return record(x.data, (x,), None)\n")
    assert unmarked(tmp_path) == {"forgotten"}


FORWARDS: dict[str, Callable[[mp.GPT], Callable[[np.ndarray], Tensor]]] = {
    "logits": lambda model: model,
    "loss": lambda model: lambda tokens: model.loss(tokens, OTHER),
    "attention op by op": lambda model: lambda x: model(x, attend=lambda layer: plain_causal_attention),
}


@pytest.mark.parametrize("config", [TINY, mp.ModelConfig(vocabulary=11, context=8, layers=1, heads=1, width=4,
                                                         tied=False, bias=False)], ids=["tied", "no bias"])
@pytest.mark.parametrize("forward", FORWARDS.values(), ids=list(FORWARDS))
def test_a_gpt_is_captured(config: mp.ModelConfig, forward: Callable) -> None:
    function = forward(random_gpt(config))
    graph = capture(function, TOKENS)
    for tokens in (TOKENS, OTHER):
        with no_grad():
            assert np.array_equal(graph.run(tokens)[0], function(tokens).data)


def test_the_graph_of_a_gpt_has_its_ops_and_the_names_of_its_weights() -> None:
    graph = capture(random_gpt(TINY), TOKENS)
    block = ["layernorm", "linear", "causal_attention", "linear", "add_bias",
             "layernorm", "linear", "gelu", "linear", "add_bias"]
    assert ops(graph) == ["take", "embedding", "add", *block, *block, "layernorm", "unembedding"]
    assert set(graph.constants) == {p.name for p in random_gpt(TINY).parameters()}
    assert list(graph.inputs) == ["input.0"] and graph.inputs["input.0"].shape == (2, 8)


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint8])
def test_tokens_of_any_integers(dtype: type) -> None:
    model, other = random_gpt(TINY), OTHER.astype(dtype)
    graph = capture(model, TOKENS.astype(dtype))
    with no_grad():
        assert np.array_equal(graph.run(other)[0], model(other).data)


def test_a_quantised_model_is_captured() -> None:
    model = random_gpt(TINY)
    quantize_weights(model, Scheme(bits=8, axis=1))
    graph = capture(model, TOKENS)
    with no_grad():
        assert np.array_equal(graph.run(OTHER)[0], model(OTHER).data)


def test_ops_of_another_thread_are_not_captured() -> None:
    def function(x: Tensor) -> Tensor:
        with ThreadPoolExecutor(1) as threads:
            assert threads.submit(lambda: exp(Tensor(array(3))) * 2.0).result().shape == (3,)
        return tanh(x)

    assert ops(capture(function, Tensor(array(3)))) == ["tanh"]


def test_a_capture_inside_a_capture() -> None:
    inner = []

    def function(x: Tensor) -> Tensor:
        y = tanh(x)
        inner.append(capture(exp, Tensor(array(3))))
        return y * 2.0

    assert ops(capture(function, Tensor(array(3)))) == ["tanh", "mul"] and ops(inner[0]) == ["exp"]


def test_a_graph_keeps_the_weights_of_its_capture() -> None:
    model = random_gpt(TINY)
    graph = capture(model, TOKENS)
    before = graph.run(OTHER)[0]
    for p in model.parameters():
        p.data[...] = 0
    assert np.array_equal(graph.run(OTHER)[0], before)
    with pytest.raises(ValueError, match="read-only"):
        graph.constants["norm.weight"][0] = 1


def test_two_inputs_and_dropout() -> None:
    model = random_gpt(TINY)
    dropout = Dropout(0.5, 0, 3, np.arange(2))
    graph = capture(lambda tokens, targets: model.loss(tokens, targets, dropout=dropout), TOKENS, TOKENS)
    assert ops(graph).count("dropout") == 1 + 2 * 2
    with no_grad():
        assert graph.run(OTHER, TOKENS)[0] == model.loss(OTHER, TOKENS, dropout=dropout).data


def test_an_op_that_returns_its_argument_is_no_node() -> None:
    weight = Parameter("w", (3,), ONES)
    graph = capture(lambda x: add_bias(tanh(x), None) * add_bias(weight, None), Tensor(array(3)))
    assert ops(graph) == ["tanh", "mul"]
    weight.data += 1                                                # it is still writable


@pytest.mark.parametrize("given", [5, 0, np.array([[7]]), np.zeros((1, 3), np.int64)], ids=str)
def test_examples_of_one_value_are_enough(given: Any) -> None:
    model = random_gpt(TINY)
    tokens = np.atleast_2d(given)
    graph = capture(model, tokens)
    with no_grad():
        assert np.array_equal(graph.run(tokens + 1)[0], model(tokens + 1).data)


def test_a_constant_that_changes_is_two_constants() -> None:
    def function(x: Tensor) -> Tensor:
        weight = Tensor(np.ones(3))
        y = x * weight
        weight.data[0] = 5
        return y * weight

    graph = capture(function, Tensor(array(3)))
    assert len(graph.constants) == 2 and graph.run(np.ones(3))[0].tolist() == [5, 1, 1]


def writes_into_a_result(x: Tensor) -> Tensor:
    y = tanh(x)
    y.data[0] = 0
    return y * 2.0


def replaces_a_result(x: Tensor) -> Tensor:
    y = tanh(x)
    y.data = y.data * 3
    return y * 2.0


def writes_into_an_input(x: np.ndarray) -> Tensor:
    x += 1
    return Tensor(x) * 2.0


@pytest.mark.parametrize("function, given", [(writes_into_a_result, Tensor(array(3))),
                                             (replaces_a_result, Tensor(array(3))),
                                             (writes_into_an_input, array(3))])
def test_writing_in_place_is_refused(function: Callable, given: Any) -> None:
    with pytest.raises(GraphError, match="writes into"):
        capture(function, given)


def test_other_errors_of_the_function_stay() -> None:
    with pytest.raises(ValueError, match="my own"):
        capture(lambda x: exec('raise ValueError("my own")'), Tensor(array(3)))


def test_flags_may_be_an_input() -> None:
    flags = np.array([True, False])                                 # reversed and negated, they are the same
    graph = capture(lambda keep, x: where(keep, x, 0.0), flags, Tensor(array(2)))
    assert graph.run(~flags, np.array([3.0, 4.0]))[0].tolist() == [0.0, 4.0]


X = array(3, seed=4)
REFUSED: dict[str, tuple[Callable, tuple, str]] = {
    "an array of the input, outside the ops": (lambda x: x - Tensor(x.data * 2), (Tensor(array(3)),),
                                               "outside"),
    "a number of the input": (lambda x: x * float(x.data.max()), (Tensor(array(3)),), "attributes"),
    "a way that depends on the input": (
        lambda x: tanh(x) if x.data[0] == X[0] else exp(x), (Tensor(X),), "other ops"),
    "two copies of equal inputs": (
        lambda x, y: Tensor(np.array(x)) + 1.0, (np.full(3, 5), np.full(3, 5)), "distinguished"),
    "an op that is not marked": (
        lambda x: tanh(record(2 * x.data, (x,), lambda g: (2 * g,))), (Tensor(array(3)),), "outside"),
    "the result of an op that is not marked": (
        lambda x: record(2 * x.data, (x,), lambda g: (2 * g,)), (Tensor(array(3)),), "outside"),
    "a mask of the input": (lambda x: where(x.data > 0, x, 0.0), (Tensor(array(3)),), "outside"),
    "an index of the input": (lambda x: x[x.data > 0.2], (Tensor(array(5, seed=1)),), "steps|outside"),
    "no elements": (lambda x: tanh(x), (Tensor(np.empty((0, 3))),), "no elements"),
}


@pytest.mark.parametrize("function, inputs, words", REFUSED.values(), ids=list(REFUSED))
def test_what_is_no_graph_is_refused(function: Callable, inputs: tuple, words: str) -> None:
    with pytest.raises(GraphError, match=words):
        capture(function, *inputs)


@pytest.mark.parametrize("function, inputs, words", [
    (lambda x: x.data, (Tensor(array(3)),), "Tensor"), (lambda x: None, (Tensor(array(3)),), "NoneType"),
    (lambda x: tanh(x), ([1.0, 2.0],), "input 0"), (lambda x: x, (np.ma.masked_equal([1, 2], 2),), "mask"),
    (lambda x: x, (np.array(["a"]),), "strings"), (lambda x: x, (None,), "input 0")])
def test_wrong_types_are_refused(function: Callable, inputs: tuple, words: str) -> None:
    with pytest.raises(ShapeError, match=words):
        capture(function, *inputs)


@pytest.mark.parametrize("inputs", [(), (OTHER, OTHER), (OTHER[:1],), (OTHER.astype(np.int32),), (None,),
                                    (Tensor(OTHER),), (np.ma.masked_equal(OTHER, 3),)])
def test_a_graph_has_fixed_shapes(inputs: tuple) -> None:
    graph = capture(random_gpt(TINY), TOKENS)
    with pytest.raises(ShapeError, match="graph"):
        graph.run(*inputs)


def test_a_parameter_may_be_called_like_a_node() -> None:
    weights = [Parameter(name, (3,), ONES) for name in ("add.0", "add.0", "mul.1", "input.0")]
    for number, one in enumerate(weights):
        one.data = np.full(3, number + 2.0)

    def function(x: Tensor) -> Tensor:
        for one in weights:
            x = (x + one) * one
        return x

    graph = capture(function, Tensor(array(3)))
    assert np.array_equal(graph.run(array(3, seed=1))[0], function(Tensor(array(3, seed=1))).data)


def test_values_are_freed_after_their_last_reader() -> None:
    graph = capture(lambda x: mean(tanh(x) + exp(x)), Tensor(array(3)))
    freed = [sorted(one) for one in graph._freed]
    assert freed == [[], ["input.0"], ["exp.1", "tanh.0"], ["add.2"]]
    assert isinstance(graph, OpGraph) and np.isfinite(graph.run(array(3))[0])
