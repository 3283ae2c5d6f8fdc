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


def with_halos(halos):
    """A mistake in the two borrowed cells. halos(pieces, rank) returns those of a rank."""
    def stepped(ranks, arguments):
        pieces = [u for u, in arguments]
        padded = [np.concatenate([[halos(pieces, rank)[0]], u, [halos(pieces, rank)[1]]]) for rank, u in enumerate(pieces)]
        return [u + (p[:-2] - 2 * u + p[2:]) / 4 for u, p in zip(pieces, padded, strict=True)]
    return stepped


def of_neighbours(pieces, rank, outside=(0.0, 0.0)):
    return (pieces[rank - 1][-1] if rank > 0 else outside[0],
            pieces[rank + 1][0] if rank < len(pieces) - 1 else outside[1])


NO_HALO = with_halos(lambda pieces, rank: (0.0, 0.0))
EXCHANGED = with_halos(lambda pieces, rank: of_neighbours(pieces, rank)[::-1])
CLOSED = with_halos(lambda pieces, rank: of_neighbours(pieces, rank, (pieces[rank][0], pieces[rank][-1])))


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
              "the pieces do not know their neighbours: each one has 0 at both ends\nwhich number does the left-hand rank "
              "have, and which the right-hand rank?": NO_HALO,
              "the two borrowed cells are exchanged\nthe number of the left-hand rank belongs before the first cell":
              EXCHANGED,
              "outside of the rod the heat is that of the last cell\noutside of the rod it is 0 degrees": CLOSED,
              "a cell uses the new value of its left neighbour\nall cells need the old values: compute the new piece "
              "in another array": partial(reference, in_place=True)},
    library="minipar/parallel/data.py:Buckets")
