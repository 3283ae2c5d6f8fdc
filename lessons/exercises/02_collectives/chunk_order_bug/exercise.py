import numpy as np

from minipar.exercises import BugToFind, Exercise, Par


def inputs(ranks, rng, size):
    return [(rng.standard_normal(size),) for _ in range(ranks)]


def reference(ranks, arguments):
    return [np.concatenate([piece for piece, in arguments])] * ranks


def par(ranks, arguments):
    """Each rank passes every piece but one to the right, once."""
    sent = 8 * (ranks - 1) * arguments[0][0].size
    own = arguments[0][0].nbytes * (ranks > 1)                     # each rank's own piece must leave it
    return Par(messages=ranks - 1, bytes=sent, at_least=own)


EXERCISE = Exercise(
    bug=BugToFind(lines=("coming = (rank + step + 1) % p",),
            reason="a piece from the left has a lower index than the rank's own, not a higher one",
            others=("the ring needs p steps, not p - 1", "the rank sends a piece that it has not received yet",
                    "the pieces are joined in the order of their arrival")),
    kind="find", minutes=10, lesson="collectives", function="all_gather",
    goal="find a wrong index by following one piece, and know why 2 ranks do not show it",
    prerequisites=("ring_reduce_scatter",), forbids=("minipar.comm.collectives",),
    cases={"plain": 3, "one element": 1, "empty": 0}, inputs=inputs, reference=reference, par=par,
    library="minipar/comm/collectives/algorithms/ring.py:pass_around")
