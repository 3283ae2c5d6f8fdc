from minipar.exercises import Exercise, Par


def inputs(ranks, rng, size):
    return [(rng.standard_normal(size),) for _ in range(ranks)]


def reference(ranks, arguments):
    return [sum(x for x, in arguments)] * ranks


def par(ranks, arguments):
    """log2 q rounds with the whole array, and one message to fold or unfold."""
    q = 1 << (ranks.bit_length() - 1)
    rounds = q.bit_length() - 1
    messages = [rounds + (rank + q < ranks) if rank < q else 1 for rank in range(ranks)]
    return Par(messages=messages, bytes=[count * arguments[0][0].nbytes for count in messages])




EXERCISE = Exercise(
    kind="write", minutes=25, lesson="collectives", function="all_reduce",
    goal="pair ranks by the bits of their numbers, and fold those that are too many",
    prerequisites=("tree_broadcast",),
    forbids=("minipar.comm.collectives", "mp.all_reduce", "minipar.all_reduce"),
    cases={"plain": 6, "one element": 1, "empty": 0},
    inputs=inputs, reference=reference, par=par,
    library="minipar/comm/collectives/algorithms/recursive_doubling.py")
