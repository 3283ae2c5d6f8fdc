import numpy as np

from minipar.exercises import BugToFind, Exercise, Par


def inputs(ranks, rng, size):
    n, d, steps = size
    return [
        (rng.standard_normal((n + rank, d)), rng.standard_normal(n + rank), steps) for rank in range(ranks)
    ]


def reference(ranks, arguments):
    x, y = (np.concatenate([one[i] for one in arguments]) for i in (0, 1))
    w = np.random.default_rng(0).standard_normal(x.shape[1])
    for _ in range(arguments[0][2]):
        w = w - 0.05 * (2 * (x @ w - y)[:, None] * x).mean(axis=0)
    return [w] * ranks


def par(ranks, arguments):
    """One all-reduce of the gradient in each step, and one of the number of samples."""
    calls = arguments[0][2] + 1
    return Par(messages=2 * (ranks - 1) * calls)


EXERCISE = Exercise(
    bug=BugToFind(lines=("default_rng(comm.rank)",), reason="the ranks start from different weights",
            others=("all ranks draw the same samples", "the gradient is divided by the samples of one rank",
                    "the ranks add up their gradients in another order")),
    kind="find", minutes=10, lesson="13", function="train",
    goal="know what must be equal on all ranks, and what must differ",
    prerequisites=("average_or_sum",), cases={"plain": (3, 2, 4), "more steps": (2, 3, 8)},
    inputs=inputs, reference=reference, par=par,
    next_steps={"": "which weights does each rank have before its first step? the task says which ones a single process has"}, library="minipar/nn/parameter.py")
