from functools import partial

import numpy as np

from minipar.exercises import Exercise, Par


def inputs(ranks, rng, size):
    return [(rng.standard_normal(size(rank)),) for rank in range(ranks)]


def reference(ranks, arguments, ring=False):
    """ring: the mistake that the ends of the rod are neighbours."""
    rod = np.concatenate([[0.0], *(u for u, in arguments), [0.0]])
    if ring:
        rod[0], rod[-1] = rod[-2], rod[1]
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
    inputs=inputs, reference=reference, par=par,
    mistakes={"the two ends of the rod are neighbours\noutside of the rod it is 0 degrees: the first rank has no left "
              "neighbour, the last one no right neighbour": partial(reference, ring=True)}, library="minipar/parallel/data.py:Buckets")
