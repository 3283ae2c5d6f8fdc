import numpy as np

from minipar.exercises import BugToFind, Exercise, Par


def inputs(ranks, rng, size):
    """size: (n, whether the last rank is done first)."""
    n, last_first = size
    order = list(range(1, ranks))[::-1 if last_first else 1]
    before = {rank: order[i - 1] if i else None for i, rank in enumerate(order)}
    after = {rank: order[i + 1] if i + 1 < len(order) else None for i, rank in enumerate(order)}
    return [(rng.standard_normal(n), before.get(rank), after.get(rank)) for rank in range(ranks)]


def reference(ranks, arguments):
    table = np.stack([x for x, _, _ in arguments])
    return [table, *(np.empty((0, table.shape[1])) for _ in range(ranks - 1))]


def par(ranks, arguments):
    """Each rank but 0 sends its result, and a signal to the rank after it."""
    signals = [after is not None for _, _, after in arguments[1:]]
    return Par(messages=[0, *[1 + signal for signal in signals]],
               at_least=[0, *[arguments[0][0].nbytes + 8 * signal for signal in signals]])


EXERCISE = Exercise(
    bug=BugToFind(lines=("for row in range(1, size)", "comm.Recv(table[row]"),
            reason="the n-th message that arrives is stored as that of rank n",
            others=("rank 0 stores its own x before it receives the others'", "the tag of the results differs from tag 7",
                    "ranks above 0 return an empty array instead of the table")),
    kind="find", minutes=10, lesson="0", function="collect", comm="mpi4py",
    goal="see what a program may believe about the order of messages",
    prerequisites=("hello_in_order",), cases={"plain": (3, True), "another order": (2, False), "one number": (1, True)},
    version=3,
    inputs=inputs, reference=reference, par=par, library="minipar/mpi4py_face/__init__.py")
