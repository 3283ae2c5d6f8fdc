"""The papers' formulas against the simulation, as exact fractions."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pytest

from minipar.errors import ScheduleError
from minipar.schedules.closed_forms import CLOSED_FORMS, closed_bubble, closed_peaks
from minipar.schedules.costs import Costs
from minipar.schedules.footprint import peak_activations
from minipar.schedules.generators import SCHEDULES, make_schedule
from minipar.schedules.simulate import simulate

# F, B, W
TIMES: list[Any] = [(1, 1, 1), (3, 1, 1), (1, 3, 1), (2, 3, 2), (5, 1, 0),
         (Fraction(7, 2), Fraction(9, 4), Fraction(1, 3))]


def sizes(name: str) -> Iterator[tuple[int, int, int]]:
    """Ranks, micro-batches and stages per rank for which the formula is said to hold."""
    generator = SCHEDULES[name]
    for ranks in range(1, 9):
        for micro_batches in range(CLOSED_FORMS[name].enough(ranks), 18):
            yield from ((ranks, micro_batches, virtual) for virtual in range(1, 5)
                        if generator.free or virtual == generator.virtual)


def test_there_is_one_for_every_training_schedule() -> None:
    assert set(CLOSED_FORMS) == set(SCHEDULES) - {"inference"}


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_bubble(name: str) -> None:
    form = CLOSED_FORMS[name]
    for size in sizes(name):
        schedule = make_schedule(name, *size)
        small = sum(map(len, schedule.orders)) <= 120
        for times in TIMES if small else TIMES[:1]:
            if form.fits(*times):
                assert simulate(schedule, Costs(*times)).bubble(over=form.over) == closed_bubble(
                    name, *size, times
                ), (size, times)


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_peaks(name: str) -> None:
    for size in sizes(name):
        assert peak_activations(make_schedule(name, *size)) == closed_peaks(name, *size), size


def test_as_the_papers_write_them() -> None:
    """p = 4, m = 8, v = 3: (p-1)/(m+p-1), (p-1)/(vm+p-1); with F = B = W a third of it for ZB-H1 and nothing
    for ZB-H2.
    """
    p, m, v = 4, 8, 3
    assert closed_bubble("gpipe", p, m) == closed_bubble("1f1b", p, m) == Fraction(p - 1, m + p - 1)
    assert closed_bubble("interleaved", p, m, v) == closed_bubble("looped-bfs", p, m,
                                                                  v) == Fraction(p - 1, v * m + p - 1)
    assert closed_bubble("zb-h1", p, m) == Fraction(p - 1, 3 * m + p - 1)
    assert closed_bubble("zb-h2", p, m) == closed_bubble("zb-v", p, m) == 0
    assert closed_peaks("interleaved", p, m, v)[0] == v * p + p - 1  # of 1/v each: p (1 + (p - 1)/(pv))
    assert closed_peaks("zb-h1", p, m)[0] == closed_peaks("1f1b", p, m)[0] == p
    assert closed_peaks("zb-v", p, m) == [2 * p] * p                           # of half the size each: p


def test_fewer_micro_batches_than_ranks_of_inference() -> None:
    """p - 1 to fill the pipeline; nobody drains it backwards."""
    for p, m in ((4, 8), (4, 2), (1, 3)):
        assert simulate(make_schedule("inference", p, m)).bubble() == Fraction(p - 1, m + p - 1)


def test_dualpipev_is_within_what_its_authors_say() -> None:
    """(p - 1)(F&B + B - 3W), B being a whole backward, and F&B = F + B where the two do not overlap."""
    for p in range(1, 9):
        for f, b, w in ((1, 1, 1), (2, 2, 1), (4, 3, 1), (4, 4, 3), (2, 3, 2)):
            timeline = simulate(make_schedule("dualpipev", p, 2 * p + 2), Costs(f, b, w))
            idle = timeline.makespan - timeline.busy[0]
            assert idle <= (p - 1) * (f + (b + w) + (b + w) - 3 * w)


@pytest.mark.parametrize("ask, message", [
    (lambda: closed_bubble("inference", 4, 4),
     "no closed form is known for schedule 'inference'; there is one for naive, "),
    (lambda: closed_bubble("zb-h1", 4, 3),
     "the closed forms of zb-h1 on 4 ranks hold from 4 micro-batches on, not for 3"),
    (lambda: closed_peaks("zb-v", 4, 6),
     "the closed forms of zb-v on 4 ranks hold from 7 micro-batches on, not for 6"),
    (lambda: closed_bubble("zb-h1", 4, 4, times=(1, 1, 2)),
     r"bubble of zb-h1 with F, B, W = \(1, 1, 2\); simulate it"),
])
def test_where_nobody_states_one(ask, message: str) -> None:
    with pytest.raises(ScheduleError, match=message):
        ask()
