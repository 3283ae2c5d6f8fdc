import math
from fractions import Fraction

from minipar.exercises import Exercise, Par

ALPHA, BETA = Fraction(1, 10**5), Fraction(1, 10**9)


def inputs(ranks, rng, size):
    return [(rng.standard_normal(size),) for _ in range(ranks)]


def reference(ranks, arguments):
    return [arguments[0][0]] * ranks


def chain(ranks, n, k):
    """(p - 2 + k) rounds; a round takes the time of the longest segment. One rank needs no round."""
    return (ranks - 2 + k) * (ALPHA + 8 * -(-n // k) * BETA) if ranks > 1 else Fraction(0)


def par(ranks, arguments):
    """T(k) = (p - 2 + k)(alpha + n/k beta) is smallest at k = sqrt((p - 2) n beta / alpha).

    That k is no whole number. Par is the time of the slower one of its two neighbours.
    """
    n = arguments[0][0].size
    best = math.sqrt(max(ranks - 2, 0) * 8 * n * BETA / ALPHA)
    time = max(chain(ranks, n, max(1, k)) for k in (math.floor(best), math.ceil(best)))
    following = [[rank + 1] if rank < ranks - 1 else [] for rank in range(ranks)]
    return Par(bytes=[8 * n * (rank < ranks - 1) for rank in range(ranks)], seconds=time, peers=following)


EXERCISE = Exercise(
    kind="par", minutes=25, lesson="collectives", function="broadcast",
    goal="overlap the links of a chain, and choose the number of segments by a formula",
    prerequisites=("tree_broadcast",),
    forbids=("minipar.comm.collectives", "mp.all_reduce", "minipar.all_reduce"),
    cases={"100 kB": 12_500, "ragged": 4_099, "short": 5, "empty": 0},
    inputs=inputs, reference=reference, par=par,
    library="minipar/plan/collective_times.py:ring_broadcast")
