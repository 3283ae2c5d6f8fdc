"""Layers that are not cut, which lesson 14 holds its cut ones against; on one rank's behalf, so that it runs
on all of them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import minipar as mp
from minipar.autograd import causal_attention, cross_entropy
from minipar.comm.wrappers.counting import Counting
from minipar.nn import MLP, SERIAL, Attention, Module, Region, Start
from minipar.parallel import TensorRegion
from minipar.parallel.operators import shares
from minipar.rng import stream

SAMPLES, TOKENS = 3, 5
CONFIG = mp.ModelConfig(width=24, heads=12, hidden=33, layers=2, context=TOKENS, vocabulary=17)
X, G = (stream(1, name).normal(size=(SAMPLES, TOKENS, CONFIG.width)) for name in ("x", "dL/dy"))
Moved = list[tuple[str, str, int]]                                  # label, which collective, how often


def error(got: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, relative to the largest element."""
    return float(abs(got - expected).max() / abs(expected).max())


def own(comm: mp.Communicator, n: int) -> slice:
    """Which of n outputs, inputs or words are this rank's."""
    counts = shares(n, comm)
    return slice(sum(counts[:comm.rank]), sum(counts[:comm.rank + 1]))


def pair(comm: mp.Communicator, kind: str) -> tuple[Moved, float]:
    """An "MLP" or "attention" that is cut: what travels, and the largest error of y, dx and every gradient of
    its weights.
    """
    counting = Counting(comm)
    results = []
    for region in (SERIAL, TensorRegion(counting)):
        module, forward = _make(kind, region)
        module.initialise(0, np.float64)
        x = mp.Tensor(X.copy(), requires_grad=True)
        y = forward(x)
        mp.backward(y, G)
        assert x.grad is not None
        results.append((module, y.data, x.grad))
    (dense, y0, dx0), (sharded, y1, dx1) = results
    moved = [(label, op, tally.calls) for (label, op), tally in counting.traffic.by("label", "op").items()]
    return moved, max(error(y1, y0), error(dx1, dx0), *_gradient_errors(dense, sharded).values())


def gpt(comm: mp.Communicator, region: Callable[[mp.Communicator], Region]) -> tuple[float, dict[str, float]]:
    """How far the loss and each gradient of a GPT are from the single process's."""
    tokens, targets = stream(2, "tokens").integers(0, CONFIG.vocabulary, (2, SAMPLES, TOKENS))
    dense, sharded = (mp.GPT(CONFIG, dtype=np.float64, region=r) for r in (SERIAL, region(comm)))
    losses = [model.loss(tokens, targets) for model in (dense, sharded)]
    off = abs(losses[1].item() - losses[0].item())
    for loss in losses:
        mp.backward(loss)
    return off, _gradient_errors(dense, sharded)


def vocabulary_loss(
    comm: mp.Communicator,
    function: Callable[[mp.Tensor, np.ndarray, mp.Communicator, int], mp.Tensor],
    vocabulary: int,
) -> tuple[float, float, float]:
    """Error of the loss, error of the gradient, and numbers that travel per token and rank.

    function: this rank's columns of the logits [B, T, v], the targets [B, T], ranks and the vocabulary -> the
    mean loss.
    """
    logits = 30 * stream(3, "logits").normal(size=(SAMPLES, TOKENS, vocabulary))
    targets = stream(3, "targets").integers(0, vocabulary, (SAMPLES, TOKENS))
    whole = mp.Tensor(logits, requires_grad=True)
    expected = cross_entropy(whole, targets)
    value = expected.item()
    mp.backward(expected)
    counting, columns = Counting(comm), own(comm, vocabulary)
    part = mp.Tensor(logits[..., columns].copy(), requires_grad=True)
    result = function(part, targets, counting, vocabulary)
    off = abs(result.item() - value) / value
    mp.backward(result)
    assert whole.grad is not None and part.grad is not None
    return off, error(part.grad, whole.grad[..., columns]), counting.traffic.total().bytes / 8 / targets.size


def _make(kind: str, region: Region) -> tuple[Module, Callable[[mp.Tensor], mp.Tensor]]:
    if kind == "MLP":
        mlp = MLP("mlp", CONFIG, Start(std=0.02), region)
        return mlp, mlp
    attention = Attention("attention", CONFIG, Start(std=0.02), region)
    return attention, lambda x: attention(x, causal_attention)


def _gradient_errors(dense: Module, sharded: Module) -> dict[str, float]:
    """Parameter -> how far this rank's gradient is from its own part of the dense one."""
    both = zip(dense.parameters(), sharded.parameters(), strict=True)
    return {mine.name: error(mine.grad, mine.own(whole.grad)) for whole, mine in both}
