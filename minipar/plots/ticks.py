"""Writes plain numbers on a logarithmic axis. By default, matplotlib writes powers of ten."""

from __future__ import annotations

from collections.abc import Iterable

from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator, ScalarFormatter


def plain_ticks(axis: Axis, at: Iterable[float] = ()) -> None:
    """Set ticks only at these numbers, by default at 1, 2 and 5 times the powers of ten."""
    ticks = list(at)
    axis.set_major_locator(FixedLocator(ticks) if ticks else LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(ScalarFormatter())
    axis.set_minor_locator(NullLocator())
