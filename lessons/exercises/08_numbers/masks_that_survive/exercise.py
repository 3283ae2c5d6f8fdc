import numpy as np

from minipar.exercises import BugToFind, Exercise


def inputs(ranks, rng, size):
    n, d, steps = size
    w = rng.standard_normal(d)
    keep = rng.permutation(d) < (d + 1) // 2
    w[np.flatnonzero(keep)[0]] = 0.0                                # kept, and 0 just now
    return [(w, rng.standard_normal((n, d)), rng.standard_normal(n), keep, steps)]


def reference(ranks, arguments):
    """A model of the kept weights alone."""
    w, x, y, keep, steps = arguments[0]
    small, columns, velocity = w[keep], x[:, keep], 0.0
    for _ in range(steps):
        velocity = 0.9 * velocity + 2 * columns.T @ (columns @ small - y) / len(x)
        small = small - 0.01 * velocity
    result = np.zeros_like(w)
    result[keep] = small
    return [result]


EXERCISE = Exercise(
    bug=BugToFind(lines=("gradient = 2 * x.T", "velocity = 0.9 * velocity + gradient", "w = w - 0.01 * velocity"),
            reason="pruned weights get a gradient, and the optimiser moves them away from 0",
            others=("the mask is applied before the first step", "the momentum must be reset in each step",
                    "the gradient is divided by the number of samples")),
    kind="find", minutes=10, lesson="10", function="tune", comm="",
    goal="keep pruned weights at zero, whatever the optimiser does",
    cases={"plain": (6, 4, 5), "many steps": (5, 6, 30), "two weights": (3, 2, 3)},
    inputs=inputs, reference=reference, library="minipar/compress/prune/__init__.py")
