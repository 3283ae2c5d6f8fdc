"""Layers in PyTorch, whose gradients autograd computes, under `equivalent`: right ones and planted bugs."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

import minipar as mp
from tests.proof.equivalent.layers import (
    PAIR,
    PIECES,
    MiniparOps,
    pair_inputs,
    pipeline_inputs,
    pipeline_shards,
    step_inputs,
)

torch = pytest.importorskip("torch")


def summed(ops: MiniparOps, tensor: Any) -> Any:
    return torch.from_numpy(ops.sum(tensor.detach().numpy()))


def enter(ops: MiniparOps, x: Any, bug: str) -> Any:
    """Before a column-parallel layer: nothing forward, a sum over the ranks backward."""
    class Enter(torch.autograd.Function):  # type: ignore[name-defined]
        @staticmethod
        def forward(context: Any, x: Any) -> Any:
            return x.clone()

        @staticmethod
        def backward(context: Any, gradient: Any) -> Any:
            return gradient if bug == "gx not summed" else summed(ops, gradient)
    return Enter.apply(x)


def leave(ops: MiniparOps, x: Any, bug: str) -> Any:
    """Behind a row-parallel layer: a sum over the ranks forward, nothing backward."""
    class Leave(torch.autograd.Function):  # type: ignore[name-defined]
        @staticmethod
        def forward(context: Any, x: Any) -> Any:
            return x.clone() if bug == "y not summed" else summed(ops, x)

        @staticmethod
        def backward(context: Any, gradient: Any) -> Any:
            return summed(ops, gradient) if bug == "self-dual" else gradient
    return Leave.apply(x)


def leaves(arrays: dict[str, Any]) -> dict[str, Any]:
    return {
        name: torch.tensor(array, requires_grad=True) for name, array in arrays.items() if array is not None
    }


def pair(ops: MiniparOps | None, bug: str, gy: np.ndarray, **arrays: np.ndarray) -> dict[str, Any]:
    t = leaves(arrays)
    x = enter(ops, t["x"], bug) if ops else t["x"]
    part = torch.tanh(x @ t["w"] + t["b"]) @ t["v"]
    if ops and bug == "bias on every rank":
        y = leave(ops, part + t["c"], bug)
    else:
        c = t["c"] / ops.size if ops and bug == "y not summed" else t["c"]
        y = (leave(ops, part, bug) if ops else part) + c
    y.backward(torch.from_numpy(gy.copy()))
    return {"y": y, **{f"g{name}": one.grad for name, one in t.items()}}


def step(ops: MiniparOps | None, bug: str, x: np.ndarray, t: np.ndarray, w: np.ndarray) -> dict[str, Any]:
    inputs, targets = torch.from_numpy(x), torch.from_numpy(t)
    weights = torch.tensor(w, requires_grad=True)
    count = ops.sum(np.array([float(len(t))]))[0] if ops else len(t)
    for rows in torch.tensor_split(torch.arange(len(t)), PIECES):
        loss = ((inputs[rows] @ weights - targets[rows]) ** 2).sum() / count
        (loss * PIECES if bug == "micro-batches count whole" else loss).backward()
    gradient = weights.grad
    if ops and bug != "never summed":
        gradient = summed(ops, gradient)
    if ops and bug == "averaged twice":
        gradient = gradient / ops.size
    return {"g": gradient, "new": weights - 0.1 * gradient}


def pipeline(ops: MiniparOps | None, bug: str, x: np.ndarray, **arrays: Any) -> dict[str, Any]:
    w = leaves(arrays)
    if ops is None:
        y = torch.from_numpy(x)
        for name in sorted(w):
            y = torch.tanh(y @ w[name])
        (0.5 * (y * y).sum()).backward()
        return {"y": y, **{f"g{name[1:]}": one.grad for name, one in w.items()}}
    own, last = w[f"w{ops.rank}"], ops.size - 1
    outputs = []
    for piece in np.array_split(x, PIECES):
        received = piece if ops.rank == 0 else ops.receive(piece.shape, ops.rank - 1)
        z = torch.tensor(received, requires_grad=True)
        outputs.append((z, torch.tanh(z @ own)))
        if ops.rank < last:
            ops.send(outputs[-1][1].detach().numpy(), ops.rank + 1)
    for z, y in outputs:
        gradient = y.detach() if ops.rank == last else torch.from_numpy(ops.receive(y.shape, ops.rank + 1))
        y.backward(gradient / PIECES if bug == "stage 0 takes the mean" and ops.rank == 0 else gradient)
        if ops.rank > 0:
            ops.send(z.grad.numpy(), ops.rank - 1)
    return {"y": torch.cat([y for _, y in outputs]), f"g{ops.rank}": own.grad}


def report(ranks: int, layer: Any, inputs: dict[str, Any], shards: dict[str, Any], bug: str) -> Any:
    return mp.run(ranks, lambda comm: mp.equivalent(
        comm, serial=partial(layer, None, ""), parallel=partial(layer, MiniparOps(comm), bug), inputs=inputs,
        shards=shards, micro_batches=PIECES))[0]


@pytest.mark.parametrize("ranks", [2, 3, 5])
@pytest.mark.parametrize("layer, bug, first, words", [
    (pair, "", "", ""), (step, "", "", ""), (pipeline, "", "", ""),
    (pair, "y not summed", "y", "sum over the ranks is right"),
    (pair, "bias on every rank", "y", "'c': each rank adds it before the sum"),
    (pair, "gx not summed", "gx", "sum over the ranks is right"),
    (pair, "self-dual", "gx", "times the right value, the ranks ="),
    (step, "never summed", "g", "sum over the ranks is right"),
    (step, "averaged twice", "g", "averaged twice"),
    (step, "micro-batches count whole", "g", "3 times the right value"),
    (pipeline, "stage 0 takes the mean", "g0", "1/3 for 3 micro-batches"),
])
def test_layers_in_pytorch(layer: Any, bug: str, first: str, words: str, ranks: int) -> None:
    inputs, shards = {
        pair: (pair_inputs(), PAIR),
        step: (step_inputs(), {"x": mp.Shard(0), "t": mp.Shard(0)}),
        pipeline: (pipeline_inputs(ranks), pipeline_shards(ranks)),
    }[layer]
    found = report(ranks, layer, inputs, shards, bug)
    assert found.failed_checks[:1] == ([first] if first else []), str(found)
    assert any(words in text for text in found.explanations) if first else found.proven
