from fractions import Fraction

from minipar.exercises import Exercise, Par
from minipar.plan.collective_times import Links, recursive_doubling_all_reduce

LINKS = Links(Fraction(1, 10**5), Fraction(1, 10**9), Fraction(0))


def inputs(ranks, rng, size):
    return [(rng.standard_normal(size),) for _ in range(ranks)]


def reference(ranks, arguments):
    return [sum(x for x, in arguments)] * ranks


def par(ranks, arguments):
    """Recursive doubling (Thakur et al. 2005, section 4.5): log2 q rounds, two more where ranks fold."""
    return Par(seconds=recursive_doubling_all_reduce(ranks, arguments[0][0].nbytes, LINKS))


EXERCISE = Exercise(
    kind="par", minutes=25, lesson="collectives", function="all_reduce",
    goal="choose an algorithm by its formula, for one number",
    prerequisites=("predict_traffic",),
    forbids=("minipar.comm.collectives", "mp.all_reduce", "minipar.all_reduce"),
    cases={"one number": 1},
    inputs=inputs, reference=reference, par=par, library="minipar/comm/collectives/select.py")
