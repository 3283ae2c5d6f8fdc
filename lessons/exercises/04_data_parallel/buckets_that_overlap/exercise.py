import numpy as np

from minipar.exercises import Exercise, Par


def inputs(ranks, rng, size):
    layers, n = size
    return [(list(rng.standard_normal((layers, n))),) for _ in range(ranks)]


def reference(ranks, arguments):
    sums = sum(np.array(gradients) for gradients, in arguments)
    return [{"sums": sums, "units of time beyond par": 0.0}] * ranks


def par(ranks, arguments):
    """An all-reduce per layer and one to set the unit, each with a stamp per message for the clock."""
    layers = len(arguments[0][0])
    return Par(messages=4 * (ranks - 1) * (layers + 1) * 2)


EXERCISE = Exercise(
    kind="write", minutes=15, lesson="13", function="backward",
    goal="hide communication behind computation",
    prerequisites=("average_or_sum",), ranks=(1, 2, 4), cases={"8 layers": (8, 2000), "5 layers": (5, 100)},
    inputs=inputs, reference=reference, par=par,
    next_steps={"units of time beyond par": "wait() stops the rank until the sum is there: which layers could it compute before?"}, library="minipar/parallel/data.py:Buckets")
