from fractions import Fraction

from minipar.exercises import Exercise, Par
from minipar.plan.collective_times import Links, recursive_doubling_all_reduce

LINKS = Links(Fraction(1, 10**5), Fraction(1, 10**9), Fraction(0))


def inputs(ranks, rng, size):
    return [(rng.standard_normal(size),) for _ in range(ranks)]


def reference(ranks, arguments):
    return [sum(x for x, in arguments)] * ranks


def par(ranks, arguments):
    """log2 q rounds with the whole array, and one message to fold or unfold."""
    q = 1 << (ranks.bit_length() - 1)
    rounds = q.bit_length() - 1
    messages = [rounds + (rank + q < ranks) if rank < q else 1 for rank in range(ranks)]
    size = arguments[0][0].nbytes
    seconds = recursive_doubling_all_reduce(ranks, size, LINKS)
    return Par(messages=messages, bytes=[count * size for count in messages], seconds=seconds)


EXERCISE = Exercise(
    kind="write", minutes=25, lesson="collectives", function="all_reduce",
    goal="pair ranks by the bits of their numbers, and fold those that are too many",
    prerequisites=("tree_broadcast",),
    forbids=("minipar.comm.collectives", "mp.all_reduce", "minipar.all_reduce"),
    cases={"plain": 12, "one element": 1, "empty": 0},
    inputs=inputs, reference=reference, par=par, same_bits=True, version=2,
    library="minipar/comm/collectives/algorithms/recursive_doubling.py")
