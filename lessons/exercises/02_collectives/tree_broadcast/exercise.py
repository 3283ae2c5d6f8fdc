import math
from fractions import Fraction

from minipar.exercises import Exercise, Par


def inputs(ranks, rng, size):
    length, root = size
    root %= ranks
    return [(rng.standard_normal(length), root) for _ in range(ranks)]


def reference(ranks, arguments):
    return [arguments[arguments[0][1]][0]] * ranks


def par(ranks, arguments):
    """ceil(log2 p) rounds, and the root sends in each of them."""
    rounds, n = math.ceil(math.log2(ranks)), arguments[0][0].nbytes
    return Par(messages=rounds, bytes=rounds * n, seconds=rounds * (Fraction(1, 10**5) + Fraction(n, 10**9)))


EXERCISE = Exercise(
    kind="write", minutes=15, lesson="collectives", function="broadcast",
    goal="use the ranks that have the data already, and count ranks from the root",
    forbids=("minipar.comm.collectives", "mp.all_reduce", "minipar.all_reduce"),
    cases={"root 0": (6, 0), "another root": (5, 2), "the last rank is root": (3, 4), "empty": (0, 1)},
    inputs=inputs, reference=reference, par=par, version=2,
    library="minipar/comm/collectives/algorithms/tree.py")
