"""Defines the start, finish and busy time of each rank, and the bubble. Papers define the bubble in different
ways.

The bubble is the idle time divided by the "total" time or by the "ideal" time. The total is the whole time of
all ranks. With this divisor, GPipe's bubble is (p - 1)/(m + p - 1) for p ranks and m micro-batches. The ideal
is the computing time of all ranks. With this divisor, GPipe's bubble is (p - 1)/m.

The total is measured over the "makespan" or the "span". The makespan is the time from the first start of any
rank to the last finish of any rank. The span is the longest time of one rank from its own first instruction
to its own last instruction. The span is useful if ranks do not wait for each other between two batches,
because then a rank that starts later can finish later. The zero-bubble paper uses the span (Qi et al. 2023,
arXiv 2401.10241).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from numbers import Rational
from typing import Literal

from minipar.records import Number


@dataclass(frozen=True)
class Times:
    """Holds the times of every rank: the start of its first instruction, the finish of its last instruction,
    and its busy time.
    """

    started: tuple[Number, ...]
    finished: tuple[Number, ...]
    busy: tuple[Number, ...]

    @property
    def makespan(self) -> Number:
        """The time from the first start, 0, to the last finish."""
        return max(self.finished)

    @property
    def span(self) -> Number:
        """The longest time between a rank's first start and its last finish."""
        return max(finished - started for started, finished in zip(self.started, self.finished, strict=True))

    def bubble(self, of: Literal["total", "ideal"] = "total",
               over: Literal["makespan", "span"] = "makespan") -> Number:
        """Returns the fraction of the time in which ranks are idle. It is a Fraction if all times are exact.
        The module docstring defines the arguments.
        """
        work = sum(self.busy)
        total = len(self.busy) * (self.makespan if over == "makespan" else self.span)
        whole = total if of == "total" else work
        if not whole:
            return 0
        idle = total - work
        return (Fraction(idle, whole)
                if isinstance(idle, Rational) and isinstance(whole, Rational)
                else idle / whole)
