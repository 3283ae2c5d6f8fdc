"""When ranks start, finish and work, and how much of that is bubble: two questions on which papers differ.

Idle time over what? "total", all the time that the ranks have: GPipe's bubble is then (p - 1)/(m + p - 1). Or
"ideal", the time that they work: (p - 1)/m.

Idle from when to when? Over the "makespan", all ranks count from the first start to the last finish. Over the
"span", each rank counts from its own first instruction to its last, and the longest time decides: a rank that
starts later may finish later, since none waits for another between two batches. So the zero-bubble paper
counts, where not even the optimiser makes the ranks wait for each other (Qi et al. 2023, arXiv 2401.10241).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from numbers import Rational
from typing import Literal

from minipar.records import Number


@dataclass(frozen=True)
class Times:
    """Of every rank: when its first instruction starts, when its last one finishes, and how long it works in
    between.
    """

    started: tuple[Number, ...]
    finished: tuple[Number, ...]
    busy: tuple[Number, ...]

    @property
    def makespan(self) -> Number:
        """From the first start, at 0, to the last finish."""
        return max(self.finished)

    @property
    def span(self) -> Number:
        """The longest time between a rank's first start and its last finish."""
        return max(finished - started for started, finished in zip(self.started, self.finished, strict=True))

    def bubble(self, of: Literal["total", "ideal"] = "total",
               over: Literal["makespan", "span"] = "makespan") -> Number:
        """The share of time in which ranks are idle; a Fraction where all times are exact. The words are
        explained above.
        """
        work = sum(self.busy)
        total = len(self.busy) * (self.makespan if over == "makespan" else self.span)
        whole = total if of == "total" else work
        if not whole:
            return 0
        idle = total - work
        return (
            Fraction(idle, whole)
            if isinstance(idle, Rational) and isinstance(whole, Rational)
            else idle / whole
        )
