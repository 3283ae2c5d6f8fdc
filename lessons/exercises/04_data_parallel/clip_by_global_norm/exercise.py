import numpy as np

from minipar.exercises import Exercise, Par


def inputs(ranks, rng, size):
    shared = rng.standard_normal(5)
    return [(rng.standard_normal(3 + rank), shared, size) for rank in range(ranks)]


def reference(ranks, arguments):
    shared, limit = arguments[0][1:]
    whole = np.concatenate([*(own for own, _, _ in arguments), shared])
    norm = np.linalg.norm(whole)
    factor = min(1.0, limit / norm)
    return [(own * factor, shared * factor) for own, _, _ in arguments]


def par(ranks, arguments):
    """One all-reduce of one number."""
    return Par(messages=2 * (ranks - 1), bytes=16 * (ranks - 1))


EXERCISE = Exercise(
    kind="write", minutes=15, lesson="13", function="clip",
    goal="count every number once, whether it is in shards or on all ranks",
    prerequisites=("average_or_sum",), cases={"clipped": 1.0, "clipped a little": 2.0, "short enough": 100.0},
    inputs=inputs, reference=reference, par=par, library="minipar/parallel/norm.py:global_norm")
