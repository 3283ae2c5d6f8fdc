from functools import partial

import numpy as np

from minipar.exercises import Exercise, Par


def inputs(ranks, rng, size):
    shared = rng.standard_normal(5)
    return [(rng.standard_normal(3 + rank), shared, size) for rank in range(ranks)]


def reference(ranks, arguments, times=1, whole=True):
    """Mistakes: `shared` counts `times` times; each rank knows its own shard only (whole=False)."""
    shared, limit = arguments[0][1:]
    squares = [own @ own for own, _, _ in arguments]
    norms = [np.sqrt((sum(squares) if whole else square) + times * (shared @ shared)) for square in squares]
    factors = [min(1.0, limit / norm) for norm in norms]
    return [(own * factor, shared * factor) for (own, _, _), factor in zip(arguments, factors, strict=True)]


def shared_once_per_rank(ranks, arguments):
    return reference(ranks, arguments, times=ranks)


def par(ranks, arguments):
    """One all-reduce of one number."""
    return Par(messages=2 * (ranks - 1), bytes=16 * (ranks - 1))


EXERCISE = Exercise(
    kind="write", minutes=15, lesson="13", function="clip",
    goal="count every number once, whether it is in shards or on all ranks",
    prerequisites=("average_or_sum",), cases={"clipped": 1.0, "clipped a little": 2.0, "short enough": 100.0},
    inputs=inputs, reference=reference, par=par,
    mistakes={"`shared` counts once per rank in the norm\nall ranks hold the same numbers: they count once":
              shared_once_per_rank,
              "each rank scales by the norm of what it holds\nthe norm is that of the whole gradient":
              partial(reference, whole=False),
              "the norm lacks `shared`\nsee the formula in the task": partial(reference, times=0)}, library="minipar/parallel/norm.py:global_norm")
