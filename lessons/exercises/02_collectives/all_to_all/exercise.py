import numpy as np

from minipar.exercises import Exercise, Par


def inputs(ranks, rng, size):
    return [(rng.standard_normal((ranks, size)),) for _ in range(ranks)]


def reference(ranks, arguments):
    return [np.stack([blocks[rank] for blocks, in arguments]) for rank in range(ranks)]


def own_blocks(ranks, arguments):
    """The mistake that rank r sends its block r to every rank."""
    return [np.stack([blocks[rank] for rank, (blocks,) in enumerate(arguments)])] * ranks


def par(ranks, arguments):
    """p - 1 messages of one block."""
    sent = (ranks - 1) * arguments[0][0][0].nbytes
    return Par(messages=ranks - 1, bytes=sent, at_least=sent)


EXERCISE = Exercise(
    kind="write", minutes=15, lesson="collectives", function="all_to_all",
    goal="give every rank another partner in each step",
    prerequisites=("ring_shift",),
    forbids=("minipar.comm.collectives", "mp.all_reduce", "minipar.all_reduce"),
    cases={"plain": 3, "one element": 1, "empty": 0},
    inputs=inputs, reference=reference, par=par,
    mistakes={"each sender sends the block that it has for itself\nwhich block is for the receiver?": own_blocks},
    library="minipar/comm/collectives/algorithms/pairwise.py")
