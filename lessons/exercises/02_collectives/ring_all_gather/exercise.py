from minipar.exercises import Exercise, Par


def inputs(ranks, rng, size):
    lengths = [size(rank) for rank in range(ranks)]
    return [(rng.standard_normal(length), lengths) for length in lengths]


def reference(ranks, arguments):
    import numpy as np

    return [np.concatenate([piece for piece, _ in arguments])] * ranks


def par(ranks, arguments):
    """p - 1 messages to the right: every piece but that of the right-hand neighbour, once."""
    lengths = arguments[0][1]
    sent = [8 * (sum(lengths) - lengths[(rank + 1) % ranks]) for rank in range(ranks)]
    own = [8 * length * (ranks > 1) for length in lengths]         # each rank's own piece must leave it
    right = [[(rank + 1) % ranks] for rank in range(ranks)]
    return Par(messages=ranks - 1, bytes=sent, at_least=own, peers=right)


EXERCISE = Exercise(
    kind="write", minutes=15, lesson="collectives", function="all_gather",
    goal="pass pieces around a ring, and receive each where it belongs",
    prerequisites=("ring_reduce_scatter",),
    forbids=("minipar.comm.collectives", "mp.all_reduce", "minipar.all_reduce"),
    cases={"equal pieces": lambda rank: 3, "each longer than the last": lambda rank: rank + 1,
           "some are empty": lambda rank: 2 * (rank % 2)},
    inputs=inputs, reference=reference, par=par, version=2,
    library="minipar/comm/collectives/algorithms/ring.py:pass_around")
