import numpy as np

from minipar.exercises import BugToFind, Exercise, Par


def inputs(ranks, rng, size):
    return [(rng.standard_normal(size),) for _ in range(ranks)]


def reference(ranks, arguments):
    table = np.stack([x for x, in arguments])
    return [table, *(np.empty((0, table.shape[1])) for _ in range(ranks - 1))]


def par(ranks, arguments):
    """Each rank but 0 sends its result; those in between also a signal."""
    return Par(messages=[0, *[1 + (rank > 1) for rank in range(1, ranks)]])


EXERCISE = Exercise(
    bug=BugToFind(lines=("for row in range(1, size)", "comm.Recv(table[row]"),
            reason="the n-th message that arrives is stored as that of rank n",
            others=("rank 0 stores its own x before it receives the others'", "the tag of the results differs from tag 7",
                    "ranks above 0 return an empty array instead of the table")),
    kind="find", minutes=10, lesson="0", function="collect", comm="mpi4py",
    goal="see what a program may believe about the order of messages",
    prerequisites=("hello_in_order",), cases={"plain": 3, "one number": 1},
    inputs=inputs, reference=reference, par=par, library="minipar/mpi4py_face/__init__.py")
