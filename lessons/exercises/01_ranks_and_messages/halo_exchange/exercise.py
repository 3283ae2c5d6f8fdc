from functools import partial

import numpy as np

from minipar.exercises import Exercise, Par


def inputs(ranks, rng, size):
    return [(rng.standard_normal(size(rank)),) for rank in range(ranks)]


def reference(ranks, arguments, ring=False, in_place=False):
    """ring: the mistake that the ends of the rod are neighbours. in_place: each cell uses the new value of its
    left neighbour in the same piece.
    """
    rod = np.concatenate([[0.0], *(u for u, in arguments), [0.0]])
    if ring:
        rod[0], rod[-1] = rod[-2], rod[1]
    new = rod[1:-1] + (rod[:-2] - 2 * rod[1:-1] + rod[2:]) / 4
    pieces = np.split(new, np.cumsum([u.size for u, in arguments])[:-1])
    for (u,), piece in zip(arguments, pieces, strict=True):
        for i in range(1, piece.size if in_place else 0):
            piece[i] += (piece[i - 1] - u[i - 1]) / 4
    return pieces


def wrong_ends(ranks, arguments):
    """The mistake that each rank sends its first cell to the right and its last cell to the left."""
    pieces = [u for u, in arguments]
    result = []
    for rank, u in enumerate(pieces):
        left = pieces[rank - 1][0] if rank > 0 else 0.0
        right = pieces[rank + 1][-1] if rank < ranks - 1 else 0.0
        padded = np.concatenate([[left], u, [right]])
        result.append(u + (padded[:-2] - 2 * u + padded[2:]) / 4)
    return result


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
              "neighbour, the last one no right neighbour": partial(reference, ring=True),
              "each rank sends the cell at the wrong end of its piece\nthe right-hand rank needs the last cell, the "
              "left-hand rank the first cell": wrong_ends,
              "a cell uses the new value of its left neighbour\nall cells need the old values: compute the new piece "
              "in another array": partial(reference, in_place=True)},
    library="minipar/parallel/data.py:Buckets")
