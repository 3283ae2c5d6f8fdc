import numpy as np

from minipar.comm.collectives import all_gather, all_reduce, reduce_scatter
from minipar.comm.threads import run
from minipar.comm.wrappers.counting import Counting
from minipar.exercises import Exercise


def counted(call):
    """Bytes that rank 0 of 4 sends in `call(comm)`."""
    def work(comm):
        comm = Counting(comm)
        call(comm)
        return comm.traffic.total().bytes

    return run(4, work)[0]


def inputs(ranks, rng, size):
    return [()]


def reference(ranks, arguments):
    x, hidden = np.ones((2 * 8, 16)), np.ones((2 * 8, 64))
    both = counted(lambda comm: all_reduce(comm, x, algorithm="ring"))
    halves = counted(lambda comm: (all_gather(comm, x[:4], algorithm="ring"),
                                   reduce_scatter(comm, x, algorithm="ring")))
    gathered = counted(lambda comm: all_gather(comm, hidden[:4], algorithm="ring"))
    return [{"FORWARD_BYTES": both, "BACKWARD_BYTES": both, "WEIGHT_BYTES": 0, "SEQUENCE_BYTES": halves,
             "GATHERED_BYTES": gathered}]


EXERCISE = Exercise(
    kind="predict", minutes=10, lesson="14", comm="",
    function="FORWARD_BYTES BACKWARD_BYTES WEIGHT_BYTES SEQUENCE_BYTES GATHERED_BYTES",
    goal="know what tensor parallelism sends, and what it never sends",
    prerequisites=("column_row_pair", "sequence_parallel"), cases={"one MLP on 4 ranks": 0},
    inputs=inputs, reference=reference, library="minipar/plan/traffic.py")
