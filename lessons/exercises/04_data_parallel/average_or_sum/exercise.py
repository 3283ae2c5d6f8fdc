from functools import partial

import numpy as np

from minipar.exercises import Exercise, Par


def inputs(ranks, rng, size):
    n, d = size
    w, truth = rng.standard_normal((2, d))
    x = rng.standard_normal((ranks, n, d))
    y = x @ truth + rng.standard_normal((ranks, n))
    return [(w, x[rank], y[rank], 0.1) for rank in range(ranks)]


def reference(ranks, arguments, factor=lambda ranks: 1):
    """factor: a mistake in the gradient."""
    w, lr = arguments[0][0], arguments[0][3]
    x, y = (np.concatenate([one[i] for one in arguments]) for i in (1, 2))
    return [w - lr * factor(ranks) * (2 * (x @ w - y)[:, None] * x).mean(axis=0)] * ranks


def par(ranks, arguments):
    """One all-reduce of the gradient: no algorithm sends more than 2 (p - 1) messages of it."""
    return Par(messages=2 * (ranks - 1), bytes=2 * (ranks - 1) * arguments[0][0].nbytes)


EXERCISE = Exercise(
    kind="write", minutes=10, lesson="13", function="step",
    goal="know what to divide by, so that gradients simply add up",
    cases={"plain": (4, 3), "one sample each": (1, 5)}, inputs=inputs, reference=reference, par=par,
    mistakes={
        "the gradient in w - lr * gradient is as many times too large as there are ranks\nthe loss is the mean over the "
        "samples of all ranks": partial(reference, factor=lambda ranks: ranks),
        "the gradient in w - lr * gradient is as many times too small as there are ranks\nis it divided by the number of "
        "ranks twice?": partial(reference, factor=lambda ranks: 1 / ranks),
        "the gradient in w - lr * gradient is half of what it should be\nthe derivative of a square has a factor of 2":
            partial(reference, factor=lambda ranks: 0.5),
        "the gradient is added to w\ngradient descent subtracts it": partial(reference, factor=lambda ranks: -1)},
    library="minipar/parallel/data.py:GradientReducer")
