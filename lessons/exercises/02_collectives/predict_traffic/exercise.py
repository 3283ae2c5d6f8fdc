import numpy as np

import minipar as mp
from minipar.comm.wrappers.counting import Counting
from minipar.exercises import Exercise


def counted(algorithm):
    """(messages, bytes) that rank 0 sends, from a real run."""
    def work(comm):
        comm = Counting(comm)
        mp.all_reduce(comm, np.ones(1000), algorithm=algorithm)
        return comm.traffic.total()

    total = mp.run(4, work)[0]
    return total.messages, total.bytes


def inputs(ranks, rng, size):
    return [()]


def reference(ranks, arguments):
    ring, doubling, naive = (counted(name) for name in ("ring", "recursive_doubling", "naive"))
    return [{"RING_MESSAGES": ring[0], "RING_BYTES": ring[1], "DOUBLING_MESSAGES": doubling[0],
             "DOUBLING_BYTES": doubling[1], "NAIVE_MESSAGES": naive[0]}]


EXERCISE = Exercise(
    kind="predict", minutes=10, lesson="collectives", comm="",
    function="RING_MESSAGES RING_BYTES DOUBLING_MESSAGES DOUBLING_BYTES NAIVE_MESSAGES",
    goal="tell apart what costs latency and what costs bandwidth",
    prerequisites=("ring_all_gather", "recursive_doubling"),
    cases={"4 ranks, 1000 numbers": 0}, inputs=inputs, reference=reference,
    library="minipar/plan/collectives.py")
