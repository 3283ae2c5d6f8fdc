import numpy as np

from minipar.exercises import Exercise, Par


def inputs(ranks, rng, size):
    V, D = size
    return [(rng.standard_normal((V if rank in (0, ranks - 1) else 0, D)),) for rank in range(ranks)]


def reference(ranks, arguments):
    ends = arguments[0][0] + arguments[-1][0] if ranks > 1 else arguments[0][0]
    return [ends if rank in (0, ranks - 1) else np.empty((0, ends.shape[1])) for rank in range(ranks)]


def par(ranks, arguments):
    """One message each way between the two ends."""
    at_end = [int(ranks > 1 and rank in (0, ranks - 1)) for rank in range(ranks)]
    return Par(messages=at_end, bytes=[count * arguments[0][0].nbytes for count in at_end])


EXERCISE = Exercise(
    kind="write", minutes=10, lesson="15", function="add_tied",
    goal="keep two copies of one weight equal",
    prerequisites=("gpipe_as_a_list",), cases={"plain": (4, 3), "one word": (1, 2)},
    inputs=inputs, reference=reference, par=par, library="minipar/parallel/stages.py:Stages")
