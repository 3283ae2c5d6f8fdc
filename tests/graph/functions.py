"""Functions whose graphs are known, and random ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import minipar as mp
from minipar.autograd import (
    Tensor,
    add_bias,
    dropout,
    gelu,
    layernorm,
    linear,
    plain_gelu,
    reshape,
    softmax,
    sum,
    tanh,
    transpose,
)
from minipar.graph import OpGraph

ROWS, WIDTH = 10, 24
Function = Callable[..., tuple[Tensor, ...]]


def array(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng((seed, *shape)).normal(size=shape)


def random_gpt(config: mp.ModelConfig, seed: int = 0) -> mp.GPT:
    """A float64 model in which no weight is 0 or 1, also not those of LayerNorms and biases."""
    model = mp.GPT(config, dtype=np.float64)
    rng = np.random.default_rng(seed)
    for p in model.parameters():
        p.data += rng.normal(0, 0.2, p.shape)
    return model


def random_function(seed: int) -> tuple[Function, list[np.ndarray]]:
    """A function of two inputs [10, 24] with some 20 random ops and up to three results; and two inputs.

    It has equal ops, ops of constants, and ops that no result needs, besides all that is fused.
    """
    def function(*inputs: Tensor) -> tuple[Tensor, ...]:
        rng = np.random.default_rng(seed)                           # the same numbers in each call
        weights = [Tensor(rng.normal(0, 0.4, (WIDTH, width))) for width in (WIDTH, 3, WIDTH)]
        down, row = Tensor(rng.normal(0, 0.4, (3, WIDTH))), [Tensor(rng.normal(size=WIDTH)) for _ in range(3)]
        masks = [rng.random((ROWS, WIDTH)) > 0.3 for _ in range(2)]
        later = Tensor(np.triu(np.full((WIDTH, WIDTH), -5.0), 1)[:ROWS])
        steps: list[Callable[[Tensor, Tensor], Tensor]] = [
            lambda x, y: tanh(x), lambda x, y: x + y, lambda x, y: x * 0.5 - y, lambda x, y: x * row[0],
            lambda x, y: linear(x, weights[2], row[1]),
            lambda x, y: linear(linear(x, weights[1]), down, row[0]), lambda x, y: x @ weights[0],
            lambda x, y: gelu(linear(x, weights[2], row[2])), lambda x, y: plain_gelu(x),
            lambda x, y: layernorm(x, row[0], row[1]), lambda x, y: linear(layernorm(x, row[2]), weights[0]),
            lambda x, y: layernorm(x + y, row[1]), lambda x, y: add_bias(linear(x, weights[0]), row[0], y),
            lambda x, y: softmax(x * 0.7 + later), lambda x, y: dropout(x, masks[int(rng.integers(2))], 0.3),
            lambda x, y: x + tanh(row[0] * row[1]), lambda x, y: x + weights[0][: ROWS] @ weights[2],
            lambda x, y: transpose(reshape(transpose(x, (1, 0)), (WIDTH, ROWS)), (1, 0)),
            lambda x, y: transpose(tanh(transpose(x, (1, 0)) * row[0][:ROWS]), (1, 0)) - y,
            lambda x, y: x - transpose(sum(transpose(x, (1, 0)) * 0.5 + 0.1, 0, keepdims=True), (1, 0)),
            lambda x, y: x - sum(x, -1, keepdims=True) * 0.1, lambda x, y: x / (y * y + 1.0)]
        known = list(inputs)
        for _ in range(20):
            x, y = (known[-i] for i in rng.integers(1, min(len(known), 5), size=2))
            step = steps[rng.integers(len(steps))]
            known.append(step(x, y))
            if rng.random() < 0.2:
                known.append(step(x, y))                            # most often the same value again
        return (known[-1], *(known[i] for i in rng.integers(2, len(known), size=rng.integers(3))))

    return function, [np.random.default_rng((seed, i)).normal(size=(ROWS, WIDTH)) for i in range(2)]


def largest_difference(graph: OpGraph, other: OpGraph, *inputs: np.ndarray) -> float:
    """The largest difference of both graphs' outputs, relative to the largest element of each output."""
    pairs = zip(graph.run(*inputs), other.run(*inputs), strict=True)
    return max(float(abs(a - b).max() / max(abs(a).max(), 1)) for a, b in pairs)


def equal_bits(graph: OpGraph, other: OpGraph, *inputs: np.ndarray) -> bool:
    return all(
        a.tobytes() == b.tobytes() for a, b in zip(graph.run(*inputs), other.run(*inputs), strict=True)
    )


def ops(graph: OpGraph) -> list[str]:
    return [node.op for node in graph.nodes]
