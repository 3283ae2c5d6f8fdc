import numpy as np

from minipar.exercises import Exercise, Par


def inputs(ranks, rng, size):
    return [(rng.standard_normal(size(rank)),) for rank in range(ranks)]


def reference(ranks, arguments):
    rod = np.concatenate([[0.0], *(u for u, in arguments), [0.0]])
    new = rod[1:-1] + (rod[:-2] - 2 * rod[1:-1] + rod[2:]) / 4
    return np.split(new, np.cumsum([u.size for u, in arguments])[:-1])


def par(ranks, arguments):
    """One number to each neighbour."""
    neighbours = [(rank > 0) + (rank < ranks - 1) for rank in range(ranks)]
    return Par(messages=neighbours, bytes=[8 * count for count in neighbours],
               at_least=[8 * count for count in neighbours])


EXERCISE = Exercise(
    kind="write", minutes=20, lesson="0", function="step",
    goal="send only what the neighbours need, at the ends of the range too",
    prerequisites=("ring_shift",),
    cases={"plain": lambda rank: 4, "different lengths": lambda rank: rank + 1, "one cell each": lambda rank: 1},
    inputs=inputs, reference=reference, par=par, library="minipar/parallel/data.py:Buckets")
