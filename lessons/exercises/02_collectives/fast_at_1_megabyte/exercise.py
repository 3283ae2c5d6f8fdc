from fractions import Fraction

from minipar.exercises import Exercise, Par
from minipar.plan.collective_times import Links, ring_all_reduce

LINKS = Links(Fraction(1, 10**5), Fraction(1, 10**9), Fraction(0))


def inputs(ranks, rng, size):
    return [(rng.standard_normal(size),) for _ in range(ranks)]


def reference(ranks, arguments):
    return [sum(x for x, in arguments)] * ranks


def par(ranks, arguments):
    """The ring (Patarasuk and Yuan 2009): 2 (p - 1) (alpha + n/p beta), for chunks of whole elements."""
    return Par(seconds=ring_all_reduce(ranks, 8 * ranks * -(-arguments[0][0].size // ranks), LINKS))


EXERCISE = Exercise(
    kind="par", minutes=25, lesson="collectives", function="all_reduce",
    goal="choose an algorithm by its formula, for a megabyte",
    prerequisites=("predict_traffic",),
    forbids=("minipar.comm.collectives", "mp.all_reduce", "minipar.all_reduce"),
    cases={"a megabyte": 131072},
    inputs=inputs, reference=reference, par=par, library="minipar/comm/collectives/select.py")
