"""The simulator against the rules written a second time, and against numbers worked out by hand."""

import random
import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from typing import cast

import pytest

from minipar.errors import ScheduleError
from minipar.records import Number
from minipar.schedules.costs import Costs
from minipar.schedules.footprint import peak_activations, traffic
from minipar.schedules.generators import SCHEDULES, make_schedule
from minipar.schedules.instruction import Instruction, Schedule
from minipar.schedules.simulate import simulate
from minipar.schedules.wavefront import simulate_wave
from tests.schedules import rules

SIZES = [(1, 3), (2, 1), (2, 5), (3, 2), (3, 7), (4, 4), (5, 3)]  # ranks, micro-batches

NUMBERS: dict[str, Callable[[random.Random], Number]] = {
    "whole": lambda draw: draw.randint(0, 5),
    "fractions": lambda draw: Fraction(draw.randint(0, 9), draw.randint(1, 7)),
    "floats": lambda draw: draw.random(),
}


def uneven(draw: random.Random, number: Callable[[random.Random], Number], stages: int,
           micro_batches: int) -> Costs:
    """Other times for every stage, other sizes of micro-batches, messages that take their time."""
    f, b, w = ([number(draw) for _ in range(stages)] for _ in "FBW")
    return Costs(f, b, w, message=number(draw), sizes=[number(draw) for _ in range(micro_batches)])


@pytest.mark.parametrize("kind", NUMBERS)
@pytest.mark.parametrize("name", SCHEDULES)
def test_every_start_and_end(name: str, kind: str) -> None:
    for ranks, micro_batches in SIZES:
        schedule = make_schedule(name, ranks, micro_batches)
        costs = uneven(random.Random(f"{name} {ranks} {micro_batches}"), NUMBERS[kind], schedule.stages,
                       micro_batches)
        f, b, w = (cast(list[Number], times) for times in (costs.F, costs.B, costs.W))
        size = costs.sizes
        whole = {"F": f, "B": b if schedule.split else [x + y for x, y in zip(b, w, strict=True)], "W": w}
        expected = rules.times(schedule, cost=lambda step, whole=whole,
                               size=size: whole[step.kind][step.stage] * size[step.micro],
                               message=lambda micro, costs=costs, size=size: costs.message * size[micro])
        timeline = simulate(schedule, costs)
        for rank, order in enumerate(schedule.orders):
            spans = list(zip(timeline.start[rank], timeline.end[rank], strict=True))
            assert spans == [expected[instruction] for instruction in order]


def test_makespans_by_hand() -> None:
    """F = 1, B = 2 on 4 ranks: no faster with one micro-batch than one rank alone; with more, 3 (m + p -
    1).
    """
    for name in ("gpipe", "1f1b"):
        assert [simulate(make_schedule(name, 4, m)).makespan for m in (1, 4, 8, 32)] == [12, 21, 33, 105]
    assert [simulate(make_schedule("naive", 4, m)).makespan for m in (1, 4, 8, 32)] == [12, 48, 96, 384]
    assert simulate(make_schedule("gpipe", 4, 8)).bubble() == Fraction(3, 11)


def test_an_unbalanced_model_is_as_slow_as_its_slowest_stage() -> None:
    """Stages of 3, 1, 1, 1: 6/3 = 2 times as fast as one rank at most. 1F1B gets there, the slow first rank
    is never idle.
    """
    costs = Costs([3, 1, 1, 1], [3, 1, 1, 1], [3, 1, 1, 1])

    def speed_up(name: str, micro_batches: int) -> Fraction:
        return Fraction(18 * micro_batches, simulate(make_schedule(name, 4, micro_batches), costs).makespan)  # type: ignore[arg-type]

    assert [speed_up("1f1b", m) for m in (1, 4, 8, 100)] == [1, 2, 2, 2]
    assert [speed_up("gpipe", m) for m in (1, 4, 8, 100)] == [1, Fraction(8, 5), Fraction(16, 9),
                                                              Fraction(200, 101)]


def test_the_conventions_of_the_bubble() -> None:
    """Two ranks, one micro-batch, 1F1B: F takes 1, backward 2. Rank 0 works in 0-1 and 4-6, rank 1 in 1-4."""
    timeline = simulate(make_schedule("1f1b", 2, 1))
    assert (timeline.started, timeline.finished, timeline.busy) == ((0, 1), (6, 4), (3, 3))
    assert timeline.bubble() == timeline.bubble(over="span") == Fraction(1, 2)
    assert timeline.bubble("ideal") == 1
    zero = simulate(make_schedule("zb-h2", 4, 8))
    assert (zero.makespan, zero.span) == (27, 24)
    assert (zero.bubble(), zero.bubble("ideal"),
            zero.bubble(over="span")) == (Fraction(1, 9), Fraction(1, 8), 0)
    assert isinstance(simulate(make_schedule("gpipe", 2, 2), Costs(F=0.5)).bubble(), float)
    assert simulate(make_schedule("gpipe", 2, 2), Costs(0, 0, 0)).bubble() == 0


def test_messages_cost_1f1b_most() -> None:
    """Messages as long as a forward: 1F1B waits for one round trip after the other, GPipe for one way up and
    one down in all; eager 1F1B has enough to do meanwhile."""
    makespans = {name: simulate(make_schedule(name, 8, 32), Costs(message=1)).makespan
                 for name in ("gpipe", "1f1b", "eager-1f1b")}
    assert makespans == {"gpipe": 117 + 14, "1f1b": 185, "eager-1f1b": 117 + 14}


def test_messages_within_a_rank_take_no_time() -> None:
    timeline = simulate(make_schedule("zb-v", 1, 2), Costs(message=100))
    assert timeline.makespan == 12


def test_a_schedule_that_cannot_go_on() -> None:
    """Each of two ranks first wants what the other does second."""
    schedule = Schedule("mine", 1, (0, 1), ((Instruction("B", 0, 0), Instruction("F", 0, 0)),
                                            (Instruction("F", 1, 0), Instruction("B", 1, 0))))
    with pytest.raises(ScheduleError) as caught:
        simulate(schedule)
    assert str(caught.value) == ("schedule mine deadlocks: rank 0 at step 0, B0@0, waits for g0@1; "
                                 "rank 1 at step 0, F0@1, waits for x0@0")


def test_a_long_list_of_who_waits_is_cut() -> None:
    good = make_schedule("gpipe", 8, 2)
    bad = Schedule("mine", 2, good.stage_to_rank, (good.orders[0][:1] + good.orders[0][2:], *good.orders[1:]))
    with pytest.raises(ScheduleError, match=r"rank 0 .* rank 3 .* and 4 more$"):
        simulate(bad)


@pytest.mark.parametrize("costs, message", [
    ({"F": [1, 2, 3]}, "3 times of F for 2 stages; give one for each, or one for all"),
    ({"W": -1}, "-1 is among the times of W; none may be negative"),
    ({"sizes": [1]}, "1 sizes for 4 micro-batches; give one for each, or one for all"),
    ({"message": -1}, "a message takes -1; it may not be negative"),
])
@pytest.mark.parametrize("simulation", [lambda costs: simulate(make_schedule("1f1b", 2, 4), costs),
                                        lambda costs: simulate_wave("1f1b", 2, 4, costs)])
def test_costs_that_cannot_be(simulation, costs: dict, message: str) -> None:
    with pytest.raises(ScheduleError, match=message):
        simulation(Costs(**costs))


def test_peak_activations() -> None:
    assert peak_activations(make_schedule("gpipe", 4, 8)) == [8, 8, 8, 8]
    assert peak_activations(make_schedule("1f1b", 4, 8)) == [4, 3, 2, 1]
    assert peak_activations(make_schedule("1f1b", 4, 8),
                            weights=[10, 1, 1, Fraction(1, 2)]) == [40, 3, 2, Fraction(1, 2)]
    assert peak_activations(make_schedule("inference", 2, 8, virtual=2), weights=[1, 2, 3, 4]) == [3, 4]


def test_what_b_frees_need_not_wait_for_w() -> None:
    """F, B of one micro-batch and of the next, then both W: with half freed by B, one and a half at the peak
    and not two.
    """
    order = tuple(Instruction(kind, 0, micro)
                  for kind, micro in (("F", 0), ("B", 0), ("F", 1), ("B", 1), ("W", 0), ("W", 1)))
    late = Schedule("late", 2, (0,), (order,), split=True)
    assert peak_activations(late) == [2]
    assert peak_activations(late, kept_for_w=Fraction(1, 2)) == [Fraction(3, 2)]


def test_traffic() -> None:
    assert traffic(make_schedule("1f1b", 3, 5)) == {(0, 1): 5, (1, 0): 5, (1, 2): 5, (2, 1): 5}
    assert traffic(make_schedule("interleaved", 3, 5)) == {  # a ring: from the last rank to the first
        (0, 1): 10, (0, 2): 5, (1, 0): 10, (1, 2): 10, (2, 0): 5, (2, 1): 10}
    assert traffic(make_schedule("zb-v", 3, 5)) == {                     # a V: nothing at its tip
        (0, 1): 10, (1, 0): 10, (1, 2): 10, (2, 1): 10}
    assert traffic(make_schedule("inference", 3, 5)) == {(0, 1): 5, (1, 2): 5}


@pytest.mark.parametrize("kind", NUMBERS)
@pytest.mark.parametrize("name", ["gpipe", "1f1b"])
def test_the_wavefront_says_the_same(name: str, kind: str) -> None:
    """Bit for bit, also in floats: it does the same sums in the same order."""
    for ranks in range(1, 7):
        for micro_batches in range(1, 10):
            schedule = make_schedule(name, ranks, micro_batches)
            costs = uneven(random.Random(f"{name} {ranks} {micro_batches}"), NUMBERS[kind], ranks,
                           micro_batches)
            timeline, wave = simulate(schedule, costs), simulate_wave(name, ranks, micro_batches, costs)
            assert (wave.started, wave.finished, wave.busy) == (timeline.started, timeline.finished,
                                                                timeline.busy)
            assert list(wave.peaks) == peak_activations(schedule)


def test_a_thousand_stages_and_ten_thousand_micro_batches() -> None:
    wave = simulate_wave("1f1b", 1000, 10_000)
    assert wave.makespan == 3 * 10_999
    assert wave.bubble() == Fraction(999, 10_999)
    assert wave.peaks == tuple(range(1000, 0, -1))


def test_the_wavefront_keeps_no_list_of_instructions() -> None:
    """200,000 of them would be more than 10 MB."""
    tracemalloc.start()
    try:
        simulate_wave("1f1b", 100, 1000)
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("arguments, message", [
    (("zb-h1", 4, 4), "no wavefront of schedule 'zb-h1' is known; choose gpipe or 1f1b"),
    (("1f1b", 4, 0), "4 ranks and 0 micro-batches; give at least 1 of each"),
    (("1f1b", 4, 4, Costs(F=Fraction(10**18, 7))), "beyond 64 bits"),
])
def test_what_the_wavefront_does_not_do(arguments: tuple, message: str) -> None:
    with pytest.raises(ScheduleError, match=message):
        simulate_wave(*arguments)
