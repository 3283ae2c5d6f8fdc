"""Explanations of exercises state numbers, which are computed here."""

from __future__ import annotations

from fractions import Fraction

from minipar.exercises.catalogue import find
from minipar.exercises.tasks import graded_calls
from minipar.plan.collective_times import Links, ring_broadcast, tree_broadcast

LINKS = Links(Fraction(1, 10**5), Fraction(1, 10**9), Fraction(0))
MEGABYTE = 10**6


def chain(p: int, k: int, nbytes: int = MEGABYTE) -> Fraction:
    """Return the time of chain_broadcast with k equal segments."""
    return (p - 2 + k) * (Fraction(LINKS.alpha) + Fraction(nbytes, k) * Fraction(LINKS.beta))


def test_the_chain_of_chain_broadcast() -> None:
    """17 segments for 5 ranks, and 1.38 ms; a tree takes 3.03 ms; the chain beats the ring on 3 to 26 ranks.
    """
    best = min(range(1, 100), key=lambda k: chain(5, k))
    assert best == 17 and round(1e3 * float(chain(5, best)), 2) == 1.38
    assert round(1e3 * float(tree_broadcast(5, MEGABYTE, LINKS)), 2) == 3.03
    wins = [p for p in range(3, 65)
            if min(chain(p, k) for k in range(1, 100)) < ring_broadcast(p, Fraction(MEGABYTE), LINKS)]
    assert wins == list(range(3, 27))


def test_par_of_chain_broadcast_is_the_time_of_the_best_whole_number_of_segments() -> None:
    exercise = find("chain_broadcast")
    assert exercise.par is not None
    for call in graded_calls(exercise, 1, [3, 4, 5]):
        if call.case == "100 kB":
            best = min(chain(call.ranks, k, 100_000) for k in range(1, 100))
            assert best <= exercise.par(call.ranks, call.arguments).seconds <= best * Fraction(102, 100)


def test_the_meshes_of_a_mesh_for_gpt3() -> None:
    """A large batch needs 16 stages, a small one 8. With ZeRO, two replicas fit."""
    exercise = find("a_mesh_for_gpt3")
    assert exercise.judge is not None
    for size, mesh in (((1536, 0), (1, 4, 16)), ((64, 0), (1, 8, 8)), ((256, 0), (1, 4, 16)),
                       ((256, 1), (2, 8, 4)), ((1536, 1), (1, 4, 16))):
        assert exercise.judge(1, [size], [mesh]) == ""
