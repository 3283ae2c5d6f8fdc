"""One call of each op of `minipar.autograd`, for lesson 01: functions of one matrix [3, 4] without a kink or
a pole near it.
"""

from __future__ import annotations

import numpy as np

import minipar as mp
from minipar import autograd as ag
from minipar.rng import stream

TARGETS, FLAGS = np.array([0, 3, 1]), np.array([[True, False, True, False]] * 3)
OPS = {
    "+": lambda a: a + a * a, "-": lambda a: 1 - a * a, "*": lambda a: a * a * a, "/": lambda a: 1
    / (a * a + 1), "power": lambda a: (a * a) ** 1.5, "take": lambda a: a[[0, 2, 0]],
    "matmul": lambda a: ag.matmul(a, ag.swapaxes(a, 0, 1)), "swapaxes": lambda a: ag.swapaxes(a, 0, 1) * 2,
    "exp": ag.exp, "tanh": ag.tanh, "log": lambda a: ag.log(a * a), "sqrt": lambda a: ag.sqrt(a * a + 1),
    "sigmoid": ag.sigmoid, "relu": ag.relu, "absolute": ag.absolute, "gelu": ag.gelu,
    "plain_gelu": ag.plain_gelu,
    "where": lambda a: ag.where(FLAGS, a, a * a), "maximum": lambda a: ag.maximum(a, 0.3),
    "dropout": lambda a: ag.dropout(a, FLAGS, 0.5), "sum": lambda a: ag.sum(a, 1),
    "mean": lambda a: ag.mean(a, 0),
    "max": lambda a: ag.max(a, 1), "softmax": ag.softmax, "log_softmax": ag.log_softmax,
    "reshape": lambda a: ag.reshape(a, (2, 6)), "transpose": lambda a: ag.transpose(a, (1, 0)),
    "concatenate": lambda a: ag.concatenate([a, a]), "split": lambda a: ag.split(a, [1, 3], 1)[1],
    "broadcast_to": lambda a: ag.broadcast_to(a, (2, 3, 4)),
    "linear": lambda a: ag.linear(a, ag.swapaxes(a, 0, 1), a[0, :3]),
    "add_bias": lambda a: ag.add_bias(a, a[1], a), "layernorm": lambda a: ag.layernorm(a, a[0], a[1]),
    "causal_attention": lambda a: ag.causal_attention(ag.reshape(a, (1, 2, 6)), 2),
    "embedding": lambda a: ag.embedding(TARGETS % 3, a), "unembedding": lambda a: ag.unembedding(a, a),
    "cross_entropy": lambda a: ag.cross_entropy(a, TARGETS), "recompute": lambda a: ag.recompute(ag.exp, a),
}


def matrix(name: str) -> mp.Tensor:
    """A leaf [3, 4] in float64 for this op, of both signs and no element near 0 or near another."""
    values = np.linspace(0.2, 1.5, 12) * np.resize([1, -1, 1], 12)
    return mp.Tensor(stream(1, "op", name).permutation(values).reshape(3, 4), requires_grad=True)


def scalar_of(name: str, a: mp.Tensor) -> mp.Tensor:
    """A sum of all that the op makes of the matrix, each number with a weight of its own."""
    out = OPS[name](a)
    return ag.sum(out * mp.Tensor(stream(2, "weights").normal(size=out.shape)))
