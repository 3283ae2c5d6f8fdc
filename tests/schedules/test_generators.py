"""Every schedule at every small size: each instruction once, an order that can be done, the pictures of the
papers.
"""

from collections import Counter
from dataclasses import replace

import pytest

from minipar.errors import LayoutError, ScheduleError
from minipar.schedules.generators import SCHEDULES, make_schedule
from minipar.schedules.instruction import Instruction, Schedule
from tests.schedules import rules

# ranks, micro-batches, stages per rank: fewer micro-batches than ranks, and numbers that divide nothing,
# among them.
SIZES = [(ranks, micro_batches, virtual) for ranks in range(1, 9) for micro_batches in range(1, 18)
         for virtual in range(1, 5)]


def all_of(name: str) -> list[Schedule]:
    """The schedule at all sizes that it takes."""
    generator = SCHEDULES[name]
    return [make_schedule(name, *size) for size in SIZES if generator.free or size[2] == generator.virtual]


def picture(schedule: Schedule, rank: int) -> str:
    """A rank's order: F0 and B0 of its first stage, f0 and b0 of its second one."""
    first = min(stage for stage, home in enumerate(schedule.stage_to_rank) if home == rank)
    return " ".join((kind if stage == first else kind.lower()) + str(micro) for kind, stage,
                    micro in schedule.orders[rank])


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_instruction_once_in_an_order_that_can_be_done(name: str) -> None:
    for schedule in all_of(name):
        rules.contents(schedule)
        rules.times(schedule, cost=lambda instruction: 1)


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_stage_goes_through_the_micro_batches_in_order(name: str) -> None:
    """So gradients are added up in the order of a single process: equal to it in bits."""
    for schedule in all_of(name):
        seen: Counter[tuple[str, int]] = Counter()
        for order in schedule.orders:
            for kind, stage, micro in order:
                assert micro == seen[kind, stage], f"{schedule.name}: {kind}{micro}@{stage}"
                seen[kind, stage] += 1


@pytest.mark.parametrize("spoil, message", [
    (lambda order: order[::-1], "stuck"),
    (lambda order: order[:-1], "rank 1"),
    (lambda order: (*order, order[0]), "rank 1"),
    (lambda order: (*order[:-1], Instruction("B", 0, 3)), "rank 1"),
])
def test_the_rules_see_what_is_wrong(spoil, message: str) -> None:
    good = make_schedule("1f1b", 2, 4)
    bad = replace(good, orders=(good.orders[0], tuple(spoil(good.orders[1]))))
    with pytest.raises(AssertionError, match=message):
        rules.contents(bad)
        rules.times(bad, cost=lambda instruction: 1)


def test_stage_to_rank() -> None:
    assert make_schedule("gpipe", 3, 2).stage_to_rank == (0, 1, 2)
    assert make_schedule("interleaved", 3, 2, virtual=2).stage_to_rank == (0, 1, 2, 0, 1, 2)
    assert make_schedule("zb-v", 3,
                         2).stage_to_rank == make_schedule("dualpipev", 3,
                                                           2).stage_to_rank == (0, 1, 2, 2, 1, 0)


def test_pictures_of_one_stage_per_rank() -> None:
    assert picture(make_schedule("naive", 3, 2), 1) == "F0 B0 F1 B1"
    assert picture(make_schedule("gpipe", 3, 3), 1) == "F0 F1 F2 B0 B1 B2"
    one = make_schedule("1f1b", 3, 4)
    assert picture(one, 0) == "F0 F1 F2 B0 F3 B1 B2 B3"
    assert picture(one, 1) == "F0 F1 B0 F2 B1 F3 B2 B3"
    assert picture(one, 2) == "F0 B0 F1 B1 F2 B2 F3 B3"
    assert picture(make_schedule("eager-1f1b", 3, 4), 1) == "F0 F1 F2 B0 F3 B1 B2 B3"


def test_pictures_of_zero_bubble() -> None:
    """The later the rank, the longer W is put off: by one micro-batch per rank in ZB-H1, by two in ZB-H2."""
    h1 = make_schedule("zb-h1", 3, 5)
    assert picture(h1, 0) == "F0 F1 F2 B0 W0 F3 B1 W1 F4 B2 W2 B3 W3 B4 W4"
    assert picture(h1, 2) == "F0 B0 F1 B1 F2 B2 W0 F3 B3 W1 F4 B4 W2 W3 W4"
    h2 = make_schedule("zb-h2", 3, 5)
    assert picture(h2, 0) == "F0 F1 F2 F3 F4 B0 W0 B1 W1 B2 W2 B3 W3 B4 W4"
    assert picture(h2, 2) == "F0 B0 F1 B1 F2 B2 F3 B3 F4 B4 W0 W1 W2 W3 W4"


def test_pictures_of_two_stages_per_rank() -> None:
    assert picture(make_schedule("interleaved", 2, 4), 0) == "F0 F1 f0 f1 F2 b0 F3 b1 f2 B0 f3 B1 b2 b3 B2 B3"
    assert picture(make_schedule("looped-bfs", 2, 2), 0) == "F0 F1 f0 f1 b0 b1 B0 B1"
    assert picture(make_schedule("inference", 2, 2, virtual=2), 1) == "F0 F1 f0 f1"
    assert picture(make_schedule("zb-v", 2, 4), 1) == (
        "F0 f0 F1 f1 b0 w0 F2 B0 W0 f2 b1 w1 F3 B1 W1 f3 b2 w2 B2 b3 B3 W2 w3 W3")
    assert picture(make_schedule("dualpipev", 2, 4), 0) == (
        "F0 F1 F2 f0 b0 w0 f1 F3 b1 w1 f2 B0 W0 b2 w2 f3 B1 W1 b3 w3 B2 W2 B3 W3")


def test_interleaved_groups_are_as_even_as_possible() -> None:
    """7 micro-batches over 3 ranks: a group of 4, then one of 3; a group of 1 at the end would make everybody
    wait.
    """
    forwards = [step for step in make_schedule("interleaved", 3, 7).orders[0] if step.kind == "F"]
    assert [step.micro for step in forwards] == [0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 4, 5, 6]


@pytest.mark.parametrize("name, filled", [("zb-v", 5), ("dualpipev", 6)])
def test_few_micro_batches_are_what_is_left_of_many(name: str, filled: int) -> None:
    many = make_schedule(name, 3, filled)
    for few in range(1, filled):
        left = tuple(tuple(step for step in order if step.micro < few) for order in many.orders)
        assert make_schedule(name, 3, few).orders == left


@pytest.mark.parametrize("arguments, error, message", [
    (("2f2b", 4, 8), ScheduleError, "no schedule is called '2f2b'; choose one of naive, gpipe, 1f1b, "),
    (("gpipe", 4, 0), ScheduleError, "schedule gpipe with 0 micro-batches; it takes at least 1"),
    (("gpipe", 0, 4), LayoutError, "schedule gpipe on 0 ranks; it takes at least 1"),
    (("gpipe", 4, 4, 2), LayoutError,
     "schedule gpipe needs 1 stage per rank, not 2; schedules with any number of stages are interleaved, "),
    (("zb-v", 4, 4, 1), LayoutError,
     "schedule zb-v needs 2 stages per rank, not 1; schedules with any number of stages are interleaved, "),
    (("interleaved", 4, 4, 0), LayoutError,
     "schedule interleaved with 0 stages per rank; it takes at least 1"),
])
def test_what_cannot_be(arguments: tuple, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        make_schedule(*arguments)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)
