"""Defines closed forms for the bubble and the peak activations of every schedule, for stages of equal time.

The formulas come from the papers, not from the orders of this package. The only exception is DualPipeV's
bubble, which CLOSED_FORMS explains. Tests compare the formulas with the simulation, as exact fractions. The
formulas of interleaved 1F1B and of looped-bfs hold for any number of micro-batches. This is more general than
in the papers. If no formula is known, the functions raise an error.

p is the number of ranks, m is the number of micro-batches, and v is the number of stages per rank. F, B and W
are the times of one stage and one micro-batch. A backward that is not split takes B + W. Messages take no
time.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Literal, NamedTuple

from minipar.errors import ScheduleError
from minipar.schedules.generators.table import SCHEDULES

Exact = int | Fraction


class ClosedForm(NamedTuple):
    """Holds the formulas of one schedule.

    idle(p, m, v, F, B, W): the idle time of a rank. peaks(p, m, v): for each rank, the largest number of
    activations that it keeps, one per stage and micro-batch. over: "makespan" or "span", see times.py.
    enough(p): the smallest number of micro-batches for which the formulas hold. fits(F, B, W): True if `idle`
    holds for these times.
    """

    idle: Callable[[int, int, int, Exact, Exact, Exact], Exact]
    peaks: Callable[[int, int, int], list[int]]
    source: str
    over: Literal["makespan", "span"] = "makespan"
    enough: Callable[[int], int] = lambda p: 1
    fits: Callable[[Exact, Exact, Exact], bool] = lambda F, B, W: True


def _fill(p: int, m: int, v: int, F: Exact, B: Exact, W: Exact) -> Exact:
    """Returns the idle time for filling and draining the pipeline. If there are fewer micro-batches than
    ranks, there is also a gap before each stage of a rank except its first stage.
    """
    return (p - 1 + (v - 1) * max(0, p - m)) * (F + B + W)


def _interleaved_peaks(p: int, m: int, v: int) -> list[int]:
    group = -(-m // max(1, m // p))  # p if p divides m, as in the paper
    return [min(v * m, (v - 1) * group + 2 * (p - 1 - r) + 1) for r in range(p)]


CLOSED_FORMS = {
    "naive": ClosedForm(
        lambda p, m, v, F, B, W: (p - 1) * m * (F + B + W),
        lambda p, m, v: [1] * p,
        "one rank works at a time",
    ),
    "gpipe": ClosedForm(_fill, lambda p, m, v: [m] * p, "Huang et al. 2019, arXiv 1811.06965"),
    "1f1b": ClosedForm(
        _fill, lambda p, m, v: [min(m, p - s) for s in range(p)], "Narayanan et al. 2021, arXiv 2006.09503"
    ),
    "eager-1f1b": ClosedForm(
        _fill,
        lambda p, m, v: [min(m, 2 * (p - s) - 1) for s in range(p)],
        "Zhuang et al. 2022, arXiv 2211.05322",
    ),
    "interleaved": ClosedForm(
        _fill,
        _interleaved_peaks,
        "Narayanan et al. 2021, arXiv 2104.04473; peaks Korthikanti et al. 2022, arXiv 2205.05198",
    ),
    "looped-bfs": ClosedForm(_fill, lambda p, m, v: [v * m] * p, "Lamy-Poirier 2022, arXiv 2211.05953"),
    "zb-h1": ClosedForm(
        lambda p, m, v, F, B, W: (p - 1) * (F + B - W),
        lambda p, m, v: [min(m, p)] * p,
        "Qi et al. 2023, arXiv 2401.10241",
        "span",
        lambda p: p,
        lambda F, B, W: W <= min(F, B),
    ),
    "zb-h2": ClosedForm(
        lambda p, m, v, F, B, W: (p - 1) * (F + B - 2 * W),
        lambda p, m, v: [min(m, 2 * p - 1)] * p,
        "Qi et al. 2023, arXiv 2401.10241",
        "span",
        lambda p: 2 * p - 1,
        lambda F, B, W: W <= min(F, B),
    ),
    "zb-v": ClosedForm(
        lambda p, m, v, F, B, W: 0,
        lambda p, m, v: [2 * p] * p,
        "Qi et al. 2023, arXiv 2401.10241",
        "span",
        lambda p: 2 * p - 1,
        lambda F, B, W: F == B == W,
    ),
    # The authors' formula (p - 1)(F&B + B - 3W) is for machines that overlap a forward with a backward (F&B).
    # Their B is a whole backward. Here a forward and a backward run one after the other, and a gradient is
    # sent before W runs. So for F = B = W, the idle time is half of that formula.
    "dualpipev": ClosedForm(
        lambda p, m, v, F, B, W: (p - 1) * F,
        lambda p, m, v: [2 * p + 1] * p,
        "DeepSeek-AI 2024, arXiv 2412.19437, without overlap",
        "makespan",
        lambda p: 2 * p,
        lambda F, B, W: F == B == W,
    ),
}


def closed_bubble(name: str, ranks: int, micro_batches: int, virtual: int | None = None,
                  times: tuple[Exact, Exact, Exact] = (1, 1, 1)) -> Fraction:
    """Returns the bubble as a fraction, in the convention of the schedule's paper
    (`CLOSED_FORMS[name].over`). times: F, B, W.

    Raises ScheduleError if no formula is known.

    >>> print(closed_bubble("1f1b", 4, 8))
    3/11
    """
    form = _form(name, ranks, micro_batches)
    if not form.fits(*times):
        raise ScheduleError(f"no closed form is known for the bubble of {name} with F, B, W = {times}; "
                            "simulate it")
    stages = virtual or SCHEDULES[name].virtual
    idle = form.idle(ranks, micro_batches, stages, *times)
    return Fraction(idle, idle + stages * micro_batches * sum(times))


def closed_peaks(name: str, ranks: int, micro_batches: int, virtual: int | None = None) -> list[int]:
    """Returns, for each rank, the largest number of activations that the rank keeps at one time. Raises
    ScheduleError if no formula is known.

    >>> closed_peaks("1f1b", 4, 8)
    [4, 3, 2, 1]
    """
    return _form(name, ranks, micro_batches).peaks(ranks, micro_batches, virtual or SCHEDULES[name].virtual)


def _form(name: str, ranks: int, micro_batches: int) -> ClosedForm:
    form = CLOSED_FORMS.get(name)
    if form is None:
        raise ScheduleError(f"no closed form is known for schedule {name!r}; there is one for "
                            f"{', '.join(CLOSED_FORMS)}")
    if micro_batches < form.enough(ranks):
        raise ScheduleError(f"the closed forms of {name} on {ranks} ranks hold from {form.enough(ranks)} "
                            "micro-batches on, "
                            f"not for {micro_batches}; simulate it")
    return form
