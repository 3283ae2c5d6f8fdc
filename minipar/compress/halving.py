"""Finds the best models of each size: the Pareto front of size and loss, by successive halving.

A model is dominated if another model is smaller and has no larger loss, or has a smaller loss and is not
larger. The models that are not dominated form the Pareto front. Brute force measures every candidate with the
whole budget, such as all steps of fine-tuning.

Successive halving first measures all candidates with a small budget. It drops the worst half, and measures
the other half again with a larger budget (Jamieson and Talwalkar, 2016). Here there are two goals: a small
size and a small loss. So candidates are compared by their gap: the loss of a candidate minus the lowest loss
of all candidates that are not larger. A candidate on the front has the gap 0, and the worst candidates have
the largest gaps. All candidates on the front are kept, even if they are more than half. The result can
differ from brute force in one case: a candidate has a large gap with a small budget and is dropped, but would
be on the front with the whole budget.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Generic, NamedTuple, TypeVar

from minipar.errors import ConfigError, RangeError, shown
from minipar.records import is_number, is_whole

Choice = TypeVar("Choice")


class Measured(NamedTuple, Generic[Choice]):
    """A candidate with its size (for example in bytes) and its loss (for example in nats per token)."""

    candidate: Choice
    size: float
    loss: float


class HalvingResult(NamedTuple, Generic[Choice]):
    """The result of a search. front: the Pareto front of the last round, sorted by size. rounds: the
    measurements of each round, in order.

    cost: the sum of the budgets of all measurements. brute_force: the cost if every candidate is measured
    with the last budget.
    """

    front: list[Measured[Choice]]
    rounds: list[list[Measured[Choice]]]
    cost: int
    brute_force: int


def pareto_front(points: Sequence[Measured[Choice]]) -> list[Measured[Choice]]:
    """Returns the points that no other point dominates, sorted by size. If points are equal, only the first
    is kept.

    >>> points = [Measured("a", 1, 3.0), Measured("b", 2, 3.5), Measured("c", 3, 2.0)]
    >>> [point.candidate for point in pareto_front(points)]
    ['a', 'c']
    """
    front: list[Measured[Choice]] = []
    for point in sorted(points, key=lambda each: (each.size, each.loss)):
        if not front or point.loss < front[-1].loss:
            front.append(point)
    return front


def gaps(points: Sequence[Measured[Choice]]) -> list[float]:
    """Returns one gap per point: its loss minus the lowest loss of all points of at most its size.

    >>> gaps([Measured("a", 1, 3.0), Measured("b", 2, 3.5), Measured("c", 3, 2.0)])
    [0.0, 0.5, 0.0]
    """
    front = pareto_front(points)
    return [point.loss - min(best.loss for best in front if best.size <= point.size) for point in points]


def successive_halving(candidates: Sequence[Choice],
                       measure: Callable[[Choice, int], tuple[float, float]], budgets: Sequence[int],
                       keep: float = 0.5) -> HalvingResult[Choice]:
    """Returns the Pareto front of the candidates. There is one round of measurements per budget.

    measure(candidate, budget): returns size and loss. budgets: increasing numbers, such as steps of
    fine-tuning. The cost of a measurement is its budget. keep: the fraction of the candidates that is kept
    after each round. The number of kept candidates is rounded up.

    Raises ConfigError for no candidates or invalid budgets, RangeError for a size or loss that is not finite.

    >>> losses = {"1 bit": 5.0, "4 bits": 2.1, "8 bits": 2.0, "8 bits, badly": 2.9}
    >>> def measure(name, budget):
    ...     return int(name[0]), losses[name] + 1 / budget
    >>> found = successive_halving(list(losses), measure, budgets=[1, 8])
    >>> [point.candidate for point in found.front], found.cost, found.brute_force
    (['1 bit', '4 bits', '8 bits'], 28, 32)
    """
    _require_search(candidates, budgets, keep)
    stay, rounds, cost = list(candidates), list[list[Measured[Choice]]](), 0
    for number, budget in enumerate(budgets):
        points = [_measured(candidate, *measure(candidate, budget)) for candidate in stay]
        rounds.append(points)
        cost += budget * len(points)
        if number < len(budgets) - 1:
            stay = [point.candidate for point in _best(points, math.ceil(keep * len(points)))]
    return HalvingResult(pareto_front(rounds[-1]), rounds, cost, budgets[-1] * len(candidates))


def _best(points: Sequence[Measured[Choice]], most: int) -> list[Measured[Choice]]:
    """Returns the `most` points with the smallest gaps, in their old order. Points with the same gap as the
    last of these are also returned.

    So all points on the front are returned, because their gap is 0.
    """
    distances = gaps(points)
    limit = sorted(distances)[most - 1]
    return [point for point, gap in zip(points, distances, strict=True) if gap <= limit]


def _measured(candidate: Choice, size: float, loss: float) -> Measured[Choice]:
    for name, value in (("size", size), ("loss", loss)):
        if not is_number(value) or not math.isfinite(value):
            raise RangeError(f"the {name} of {shown(candidate)} is {shown(value)}; measure a finite number",
                             item=name)
    return Measured(candidate, size, loss)


def _require_search(candidates: Sequence[object], budgets: Sequence[int], keep: float) -> None:
    if not candidates:
        raise ConfigError("there are no candidates to search; give at least one", item="candidates")
    if not budgets or not all(is_whole(budget) and budget > 0 for budget in budgets) \
            or any(later <= earlier for earlier, later in pairwise(budgets)):
        raise ConfigError(f"the budgets are {shown(budgets)}; give increasing whole numbers from 1 on",
                          item="budgets")
    if not is_number(keep) or not 0 < keep < 1:
        raise ConfigError(f"keep is {shown(keep)}; it must be more than 0 and less than 1", item="keep")
