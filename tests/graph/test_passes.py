"""Each pass on graphs made by hand, with the exact nodes that it leaves; and planted bugs, which must be
seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest

from minipar.autograd import (
    Tensor,
    add_bias,
    dropout,
    exp,
    gelu,
    layernorm,
    linear,
    plain_gelu,
    softmax,
    sum,
    tanh,
    transpose,
    unembedding,
    where,
)
from minipar.graph import (
    OpGraph,
    capture,
    elementwise,
    fold_constants,
    fold_norms,
    fuse,
    fuse_elementwise,
    fuse_patterns,
    merge_common,
    merge_linears,
    products,
    remove_dead,
)
from tests.graph.functions import array, equal_bits, largest_difference, ops

D, F = 6, 8
W, UP, DOWN, SQUARE = (Tensor(array(*shape)) for shape in [(D, D), (D, F), (F, 2), (F, F)])
BIAS, SCALE, SHIFT, WIDE, TWO = (Tensor(array(size, seed=seed)) for size, seed in
                                 [(D, 1), (D, 2), (D, 3), (F, 4), (2, 5)])
MASKS = [array(4, D, seed=seed) > 0 for seed in (6, 7)]
LATER = Tensor(np.triu(np.full((4, D), -9.0), 1))
TABLE = Tensor(array(9, D))


def read_twice(x: Tensor) -> tuple[Tensor, Tensor]:
    y = linear(x, W, BIAS)
    return gelu(y), tanh(y)


def unread(x: Tensor) -> Tensor:
    exp(exp(x * W[:4]))
    return tanh(x)


def chain_with_an_output(x: Tensor) -> tuple[Tensor, Tensor]:
    y = tanh(x)
    return exp(y) * 2.0, y


# name -> pass, function of x [4, 6], ops before, ops after
Case = tuple[Callable[[OpGraph], OpGraph], Callable, list[str], list[str]]
CASES: dict[str, Case] = {
    "folds weights": (fold_constants, lambda x: x @ (W @ W), ["matmul"] * 2, ["matmul"]),
    "folds in a row": (fold_constants, lambda x: x + tanh(exp(BIAS)), ["exp", "tanh", "add"], ["add"]),
    "folds no input": (fold_constants, lambda x: tanh(x) @ W, ["tanh", "matmul"], ["tanh", "matmul"]),
    "folds a result": (fold_constants, lambda x: (tanh(x), tanh(BIAS)), ["tanh"] * 2, ["tanh"]),
    "merges twins": (merge_common, lambda x: tanh(x) + tanh(x), ["tanh", "tanh", "add"], ["tanh", "add"]),
    "merges twins of twins": (merge_common, lambda x: exp(tanh(x)) + exp(tanh(x)),
                              ["tanh", "exp", "tanh", "exp", "add"], ["tanh", "exp", "add"]),
    "merges results": (merge_common, lambda x: (tanh(x), tanh(x)), ["tanh"] * 2, ["tanh"]),
    "merges equal constants": (merge_common, lambda x: x * Tensor(np.ones(D)) + x * Tensor(np.ones(D)),
                               ["mul", "mul", "add"], ["mul", "add"]),
    "merges equal masks": (merge_common,
                           lambda x: dropout(x, MASKS[0], 0.5) + dropout(x, MASKS[0].copy(), 0.5),
                           ["dropout", "dropout", "add"], ["dropout", "add"]),
    "keeps two draws": (merge_common, lambda x: dropout(x, MASKS[0], 0.5) + dropout(x, MASKS[1], 0.5),
                        ["dropout", "dropout", "add"], ["dropout", "dropout", "add"]),
    "keeps two rates": (merge_common, lambda x: dropout(x, MASKS[0], 0.5) + dropout(x, MASKS[0], 0.25),
                        ["dropout", "dropout", "add"], ["dropout", "dropout", "add"]),
    "keeps two axes": (merge_common, lambda x: sum(x, 0, keepdims=True) + sum(x, 1, keepdims=True),
                       ["sum", "sum", "add"], ["sum", "sum", "add"]),
    "keeps two orders": (merge_common, lambda x: (x - BIAS) * (BIAS - x), ["sub", "sub", "mul"],
                         ["sub", "sub", "mul"]),
    "keeps two zeros": (merge_common, lambda x: (x * 0.0, x * -0.0), ["mul"] * 2, ["mul"] * 2),
    "removes what is not read": (remove_dead, unread, ["take", "mul", "exp", "exp", "tanh"], ["tanh"]),
    "keeps all outputs": (remove_dead, chain_with_an_output, ["tanh", "exp", "mul"], ["tanh", "exp", "mul"]),
    "one product of two": (merge_linears, lambda x: linear(linear(x, UP, WIDE), DOWN, TWO), ["linear"] * 2,
                           ["linear"]),
    "one product of three": (merge_linears, lambda x: x @ UP @ SQUARE @ DOWN, ["matmul"] * 3, ["linear"]),
    "keeps a bottleneck": (merge_linears,
                           lambda x: linear(linear(x, Tensor(array(D, 1))), Tensor(array(1, D))),
                           ["linear"] * 2, ["linear"] * 2),
    "keeps what is read twice": (merge_linears, lambda x: ((y := x @ UP) @ DOWN, y), ["matmul"] * 2,
                                 ["matmul"] * 2),
    "norm into one product": (fold_norms, lambda x: linear(layernorm(x, SCALE, SHIFT), UP, WIDE),
                              ["layernorm", "linear"], ["normalise", "linear"]),
    "norm into two products": (fold_norms, lambda x: (linear(y := layernorm(x, SCALE, SHIFT), UP), y @ W),
                               ["layernorm", "linear", "matmul"], ["normalise", "linear", "linear"]),
    "norm with another reader": (fold_norms, lambda x: (linear(y := layernorm(x, SCALE, SHIFT), UP), tanh(y)),
                                 ["layernorm", "linear", "tanh"], ["layernorm", "linear", "tanh"]),
    "norm that is a result": (fold_norms, lambda x: (linear(y := layernorm(x, SCALE), UP), y),
                              ["layernorm", "linear"], ["layernorm", "linear"]),
    "norm before a table": (fold_norms, lambda x: unembedding(layernorm(x, SCALE), TABLE),
                            ["layernorm", "unembedding"], ["layernorm", "unembedding"]),
    "linear and gelu": (fuse_patterns, lambda x: gelu(linear(x, UP, WIDE)), ["linear", "gelu"],
                        ["linear_gelu"]),
    "linear that is read twice": (fuse_patterns, read_twice, ["linear", "gelu", "tanh"],
                                  ["linear", "gelu", "tanh"]),
    "linear, bias, residual": (fuse_patterns, lambda x: add_bias(linear(x, W), BIAS, x),
                               ["linear", "add_bias"], ["linear_add"]),
    "linear and residual": (fuse_patterns, lambda x: x + linear(x, W, BIAS), ["linear", "add"],
                            ["linear_add"]),
    "linear added to itself": (fuse_patterns, lambda x: (y := linear(x, W)) + y, ["linear", "add"],
                               ["linear", "add"]),
    "linear, no bias, residual": (fuse_patterns, lambda x: add_bias(linear(x, W), None, x),
                                  ["linear", "add_bias"], ["linear_add"]),
    "linear and a row": (fuse_patterns, lambda x: linear(x, W) + BIAS, ["linear", "add"], ["linear", "add"]),
    "post-norm": (fuse_patterns, lambda x: layernorm(tanh(x) + x, SCALE, SHIFT), ["tanh", "add", "layernorm"],
                  ["tanh", "add_layernorm"]),
    "pre-norm": (fuse_patterns, lambda x: (layernorm(y := tanh(x) + x, SCALE), y),
                 ["tanh", "add", "layernorm"], ["tanh", "add", "layernorm"]),
    "scale, mask, softmax": (fuse_patterns, lambda x: softmax(x * 0.5 + LATER), ["mul", "add", "softmax"],
                             ["masked_softmax"]),
    "scale, softmax": (fuse_patterns, lambda x: softmax(x * 0.5), ["mul", "softmax"], ["masked_softmax"]),
    "softmax of another axis": (fuse_patterns, lambda x: softmax(x * 0.5, 0), ["mul", "softmax"],
                                ["mul", "softmax"]),
    "gelu op by op": (fuse_elementwise, plain_gelu,
                      ["mul", "mul", "mul", "mul", "add", "mul", "tanh", "add", "mul"], ["elementwise"]),
    "diamond": (fuse_elementwise, lambda x: (y := tanh(x)) * y + y, ["tanh", "mul", "add"], ["elementwise"]),
    "a result inside": (fuse_elementwise, chain_with_an_output, ["tanh", "exp", "mul"],
                        ["tanh", "elementwise"]),
    "two groups": (fuse_elementwise, lambda x: sum(tanh(x) * 2.0, -1, keepdims=True) * 2.0 + 1.0,
                   ["tanh", "mul", "sum", "mul", "add"], ["elementwise", "sum", "elementwise"]),
    "masks and rows": (fuse_elementwise, lambda x: where(MASKS[0], dropout(x * BIAS, MASKS[1], 0.5), 0.0),
                       ["mul", "dropout", "where"], ["elementwise"]),
    "two shapes": (fuse_elementwise, lambda x: tanh(x[:1]) + x, ["take", "tanh", "add"],
                   ["take", "tanh", "add"]),
}
NEAR, ROW, ROWS_FIRST = Tensor(array(96, 96, seed=5)), Tensor(array(96)), Tensor(array(96, 96, seed=6))
COLUMNS_FIRST = Tensor(np.asfortranarray(ROWS_FIRST.data))
X, OTHER = array(4, D, seed=8), array(4, D, seed=9)
EXACT = {fold_constants, merge_common, remove_dead, fuse_patterns, fuse_elementwise}


def is_the_same(one: Callable, graph: OpGraph, optimised: OpGraph) -> bool:
    if one in EXACT:
        return equal_bits(graph, optimised, OTHER)
    return largest_difference(graph, optimised, OTHER) < 1e-12


@pytest.mark.parametrize("one, function, before, after", CASES.values(), ids=list(CASES))
def test_a_pass_leaves_exactly_these_nodes(one: Callable, function: Callable, before: list[str],
                                           after: list[str]) -> None:
    graph = capture(function, Tensor(X))
    optimised = one(graph)
    assert (ops(graph), ops(optimised)) == (before, after)
    assert is_the_same(one, graph, optimised)
    assert set(optimised.inputs) == set(graph.inputs) and len(optimised.outputs) == len(graph.outputs)


def test_dead_constants_are_removed() -> None:
    graph = capture(unread, Tensor(X))
    assert len(graph.constants) == 1 and not remove_dead(graph).constants


def test_equal_constants_are_merged_by_bits() -> None:
    zeros = [Tensor(np.full(D, value)) for value in (0.0, -0.0, 0.0)]
    graph = merge_common(capture(lambda x: (x * zeros[0], x * zeros[1], x * zeros[2]), Tensor(X)))
    assert len(graph.constants) == 2 and ops(graph) == ["mul", "mul"]


def test_equal_constants_of_other_dtypes_stay() -> None:
    ones = [Tensor(np.ones(D, dtype)) for dtype in (np.float32, np.float64)]
    graph = capture(lambda x: (x * ones[0], x * ones[1]), Tensor(X.astype(np.float32)))
    assert len(merge_common(graph).nodes) == 2


def test_a_fused_node_has_the_flops_of_its_ops() -> None:
    graph = capture(lambda x: gelu(linear(x, UP, WIDE)), Tensor(X))
    assert fuse_patterns(graph).nodes[0].flops == 2 * 4 * D * F + 4 * F + 9 * 4 * F


def test_mixed_dtypes_are_not_fused() -> None:
    wide, narrow = Tensor(array(D)), Tensor(array(D, D).astype(np.float32))
    graph = capture(lambda x: add_bias(linear(x, narrow), wide), Tensor(X.astype(np.float32)))
    assert ops(fuse_patterns(graph)) == ["linear", "add_bias"]
    assert fuse_patterns(graph).run(OTHER.astype(np.float32))[0].dtype == np.float64


@pytest.mark.parametrize("one", [merge_linears, fold_norms])
def test_weights_of_another_dtype_are_not_multiplied(one: Callable) -> None:
    """In float32, the product of the weights would lose digits that float64 inputs keep."""
    narrow = [Tensor(array(D, D, seed=seed).astype(np.float32)) for seed in (1, 2)]
    scale = Tensor(array(D).astype(np.float32))
    graph = capture(lambda x: linear(linear(layernorm(x, scale), narrow[0]), narrow[1]), Tensor(X))
    assert ops(one(graph)) == ["layernorm", "linear", "linear"] and equal_bits(graph, one(graph), OTHER)


def transposed(x: Tensor) -> Tensor:
    return transpose(x, (1, 0))


@pytest.mark.parametrize("function", [
    lambda x: sum(tanh(transposed(x)) * 2.0, -1), lambda x: sum(softmax(transposed(x) * 0.5), -1),
    lambda x: sum(tanh(x) * 2.0, -1), lambda x: sum(softmax(transposed(x) * 0.5 + NEAR), 0),
    lambda x: sum(layernorm(transposed(x) + tanh(transposed(x)), ROW), 0),
    lambda x: (x @ ROWS_FIRST, x @ COLUMNS_FIRST)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_the_order_in_memory_changes_no_bit(function: Callable, order: Literal["C", "F"]) -> None:
    """A sum over a transposed array adds in another order than one over the same numbers row by row."""
    graph = capture(function, Tensor(array(96, 96)))
    x = np.asarray(array(96, 96, seed=1), order=order)
    for one in EXACT:
        assert equal_bits(graph, one(graph), x), one.__name__
    assert len(merge_common(graph).constants) == len(graph.constants)


def test_blocks_of_rows_are_all_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elementwise, "BLOCK", 2 * D - 1)            # one row at a time
    graph = capture(CASES["masks and rows"][1], Tensor(X))
    assert equal_bits(graph, fuse_elementwise(graph), OTHER)


# Planted bugs. A mutant of a pass must leave another graph, or other outputs, for the named case.

def forgets(name: str) -> list:
    """The table of patterns, whose kernels compute without the values of one argument."""
    def mutant(kernel: Callable) -> Callable:
        def spoilt(**arguments: Tensor) -> Tensor:
            zero = {name: Tensor(0 * arguments[name].data)} if name in arguments else {}
            return kernel(**{**arguments, **zero})
        spoilt.__name__ = kernel.__name__
        return spoilt
    return [(mutant(kernel), pattern) for kernel, pattern in fuse.PATTERNS]


def without_last_row() -> Callable:
    whole = elementwise.RowByRow.__call__

    def spoilt(self: elementwise.RowByRow, arrays: list, names: tuple) -> Tensor:
        result = whole(self, arrays, names)
        result.data[-1] = 0
        return result
    return spoilt


def folds_inputs(graph: OpGraph) -> OpGraph:
    return fold_constants(replace(graph, constants={**graph.constants, "input.0": X}))


def merges_without(key: Callable) -> Callable[[OpGraph], OpGraph]:
    """merge_common with another idea of equal nodes."""
    def mutant(graph: OpGraph) -> OpGraph:
        known: dict[object, str] = {}
        renamed, kept = {}, []
        for node in graph.nodes:
            node = node.reading(renamed)
            renamed[node.name] = known.setdefault(key(node), node.name)
            kept += [node] if renamed[node.name] == node.name else []
        return replace(graph, nodes=tuple(kept), outputs=tuple(renamed[name] for name in graph.outputs))
    return mutant


def removes_an_output(graph: OpGraph) -> OpGraph:
    return replace(remove_dead(replace(graph, outputs=graph.outputs[1:])), outputs=graph.outputs)


MUTANTS: dict[str, tuple[Callable[[OpGraph], OpGraph], str]] = {
    "folds what depends on an input": (folds_inputs, "folds no input"),
    "merges two dropout draws": (merges_without(lambda node: (node.op, node.inputs[0])), "keeps two draws"),
    "merges two rates": (merges_without(lambda node: (node.op, node.inputs)), "keeps two rates"),
    "merges other axes": (merges_without(lambda node: (node.op, node.inputs)), "keeps two axes"),
    "merges swapped inputs": (merges_without(lambda node: (node.op, *sorted(node.inputs))),
                              "keeps two orders"),
    "merges 0.0 and -0.0": (merges_without(lambda node: (node.op, node.inputs,
                                                         node.arguments.get("b", 0) == 0)),
                            "keeps two zeros"),
    "removes an output": (removes_an_output, "keeps all outputs"),
}


def is_seen(one: Callable, case: str) -> bool:
    """True if a graph of this case shows that the pass is wrong: other nodes, other outputs, or an error."""
    _, function, _, after = CASES[case]
    graph = capture(function, Tensor(X))
    try:
        optimised = one(graph)
        return ops(optimised) != after or not is_the_same(CASES[case][0], graph, optimised)
    except KeyError:                                                # a value that no node computes
        return True


@pytest.mark.parametrize("mutant, case", MUTANTS.values(), ids=list(MUTANTS))
def test_a_wrong_pass_is_seen(mutant: Callable, case: str) -> None:
    assert is_seen(mutant, case) and not is_seen(CASES[case][0], case)


EVERY_READER = property(lambda graph: {name: 1 for name in (*graph.makers, *graph.constants, *graph.inputs)})
# name -> what is replaced, by what, and the cases that see it
PLANTED: dict[str, tuple[object, str, object, list[str]]] = {
    "fuses across a node with two readers": (
        OpGraph, "reads", EVERY_READER,
        ["linear that is read twice", "pre-norm", "keeps what is read twice"]),
    "forgets the first bias": (products.WeightProduct, "values", lambda self, graph: (
        graph.constants[self.weight.name], np.zeros(graph.constants[self.weight.name].shape[1])),
        ["one product of two", "norm into one product"]),
    "forgets a mask": (fuse, "PATTERNS", forgets("mask"), ["scale, mask, softmax"]),
    "forgets a residual": (fuse, "PATTERNS", forgets("residual"),
                           ["linear, bias, residual", "linear and residual"]),
    "forgets a bias": (fuse, "PATTERNS", forgets("b"), ["linear and gelu", "linear and residual"]),
    "forgets a shift": (fuse, "PATTERNS", forgets("shift"), ["post-norm"]),
    "leaves out the last rows": (elementwise.RowByRow, "__call__", without_last_row(), ["gelu op by op"]),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, attribute, spoilt, cases = PLANTED[name]
    assert not any(is_seen(CASES[case][0], case) for case in cases)
    monkeypatch.setattr(owner, attribute, spoilt)
    assert all(is_seen(CASES[case][0], case) for case in cases)
