"""What lint says: of schedules that are right, and of each kind of mistake, word for word."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest

from minipar.errors import ScheduleError
from minipar.schedules.generators import SCHEDULES, make_schedule
from minipar.schedules.instruction import Instruction, Schedule
from minipar.schedules.lint import lint
from minipar.schedules.lower import Message, Program, ProgramStep, Receive, Send, SendCompleted, lower

Change = Callable[[list[Program]], None]


def schedule_of(*orders: str, stage_to_rank: tuple[int, ...] | None = None, micro_batches: int = 2,
                **fields: bool) -> Schedule:
    """orders: such as "F0 F1 B0 B1"; a stage is the rank's, or named by "F0@1"."""
    def instruction(rank: int, word: str) -> Instruction:
        head, _, stage = word.partition("@")
        return Instruction(head[0], int(stage or rank), int(head[1:]))

    return Schedule("own", micro_batches, stage_to_rank or tuple(range(len(orders))),
                    tuple(tuple(instruction(rank, word) for word in order.split()) for rank,
                          order in enumerate(orders)), **fields)


def refusal(schedule: Schedule, programs: list[Program] | None = None, **options: bool) -> str:
    with pytest.raises(ScheduleError) as caught:
        lint(schedule, programs, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def refused_after(change: Change) -> str:
    """What lint says of GPipe's programs for three ranks and two micro-batches after the change."""
    schedule = make_schedule("gpipe", 3, 2)
    programs = [[step for step in program if not isinstance(step, SendCompleted)]
                for program in lower(schedule)]
    change(programs)
    return refusal(schedule, programs)


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_is_right(name: str) -> None:
    for ranks, micro_batches in itertools.product([1, 2, 3, 5], [1, 2, 7]):
        schedule = make_schedule(name, ranks, micro_batches)
        report, of_programs = lint(schedule), lint(schedule, lower(schedule))
        assert replace(report, ring=()) == replace(of_programs,
                                                   ring=()) and report.safe_sync == of_programs.safe_sync


def test_which_schedules_are_safe_with_synchronous_sends() -> None:
    assert [name for name in SCHEDULES
            if lint(make_schedule(name, 4, 8)).safe_sync] == ["naive", "gpipe", "inference"]


def test_a_report() -> None:
    report = lint(make_schedule("1f1b", 3, 4))
    assert report.peaks == (3, 2, 1) and report.safe_async and not report.safe_sync
    assert report.messages == {(0, 1): 4, (1, 0): 4, (1, 2): 4, (2, 1): 4}
    assert report.deadlock == ("rank 1, stage 1, step 1: F1 waits for rank 2 to receive x1@1; "
                               "rank 2, stage 2, step 1: B0 waits for rank 1 to receive g0@2")
    report = lint(make_schedule("gpipe", 3, 4))
    assert report.peaks == (4, 4, 4) and report.safe_sync and report.deadlock == ""


def test_who_asks_for_synchronous_sends_is_refused_what_needs_asynchronous_ones() -> None:
    lint(make_schedule("gpipe", 3, 4), synchronous=True)
    assert refusal(make_schedule("1f1b", 2, 2), synchronous=True) == (
        "deadlock under synchronous sends: rank 0, stage 0, step 1: F1 waits for rank 1 to receive x1@0; "
        "rank 1, stage 1, step 1: B0 waits for rank 0 to receive g0@1; send without waiting")


@pytest.mark.parametrize("orders, said", [
    (("F0 B0 B1", "F0 F1 B0 B1"),
     "rank 0, stage 0, step 2: B1 has no activations: F1@0 is missing on this rank; add it before"),
    (("F0 F1 B1 B0 F2", "F0 F1 B0 B1"),
     "rank 0, stage 0, step 4: F2 is of a micro-batch that does not exist; they are 0 to 1"),
    (("F0 F1 B0 B1", "F0 B0 F1"),
     "rank 0, stage 0, step 3: B1 has no gradient: rank 1 never computes B1@1; add it there"),
    (("F0 F1 B0", "F0 B0 F1 B1"),
     "rank 0, stage 0, step 3: B1 is missing when the rank is done; add it after step 1"),
    (("F0 B0 F1 B1", "F0 F0 B0 F1 B1"),
     "rank 1, stage 1, step 1: F0 occurs a second time, after step 0; drop one of them"),
    (("F0 B0 F1 B1", "F0 B0 B1 F1"),
     "rank 1, stage 1, step 2: B1 has no activations: F1@1 comes only in step 3; move it before"),
    (("F0 B0 F1 B1 F1@1", "F0 B0 B1"),
     "rank 0, stage 1, step 4: F1 is on the wrong rank; move it to rank 1, which has stage 1"),
    (("F0 F1 B0 B1@3", "F0 B0 F1 B1"),
     "rank 0, stage 3, step 3: B1 is of a stage that does not exist; they are 0 to 1"),
    (("F0 F1 B0 W0 B1", "F0 B0 F1 B1"),
     "rank 0, stage 0, step 3: W0 has nothing to do, since B is the whole backward here"),
    (("F0 F1 B0 X1", "F0 B0 F1 B1"), "rank 0, stage 0, step 3: X1 is no instruction; choose F, B, W"),
])
def test_orders(orders: tuple[str, ...], said: str) -> None:
    assert refusal(schedule_of(*orders)).startswith(said)


def test_orders_of_a_rank_with_two_stages() -> None:
    assert refusal(schedule_of("F0@1 F0@0 B0@1 B0@0", stage_to_rank=(0, 0), micro_batches=1)) == (
        "rank 0, stage 1, step 0: F0 has no input: F0@0 comes only in step 1; move it before this step")
    assert refusal(schedule_of("F0@0 F0@1 B0@0 B0@1", stage_to_rank=(0, 0), micro_batches=1)) == (
        "rank 0, stage 0, step 2: B0 has no gradient: B0@1 comes only in step 3; move it before this step")
    assert lint(schedule_of("F0@0 F0@1 B0@1 B0@0", stage_to_rank=(0, 0), micro_batches=1)).messages == {}


def test_orders_of_a_split_backward_and_of_none() -> None:
    assert refusal(schedule_of("F0 B0", split=True, micro_batches=1)) == (
        "rank 0, stage 0, step 2: W0 is missing when the rank is done; add it after step 1")
    assert refusal(schedule_of("F0 W0 B0", split=True, micro_batches=1)) == (
        "rank 0, stage 0, step 1: W0 has no gradient: B0@0 comes only in step 2; move it before this step")
    assert refusal(schedule_of("F0 B0", forward_only=True, micro_batches=1)) == (
        "rank 0, stage 0, step 1: B0 is not allowed in a forward-only schedule; drop it")
    assert refusal(schedule_of("F0 F1", "F0", forward_only=True)) == (
        "rank 1, stage 1, step 1: F1 is missing when the rank is done; add it to this rank")


def test_an_order_that_makes_ranks_wait_for_each_other() -> None:
    assert refusal(schedule_of("F0 B0 F1 B1", "F0 F1 B0 B1")) == (
        "deadlock: rank 0, stage 0, step 1: B0 waits for g0@1 from rank 1; rank 1, stage 1, step 1: F1 waits "
        "for x1@0 from rank 0; "
        "let one of these ranks do first what the other waits for")


def test_an_input_that_nobody_makes() -> None:
    assert refusal(schedule_of("F1", "F0 F1", forward_only=True, micro_batches=2,
                               stage_to_rank=(0, 1))).startswith(
        "rank 1, stage 1, step 0: F0 has no input: rank 0 never computes F0@0; add it there")


def test_sizes() -> None:
    fine = make_schedule("gpipe", 2, 2)
    assert refusal(replace(fine, micro_batches=0)) == "0 micro-batches; give at least 1"
    assert refusal(replace(fine, stage_to_rank=())) == "no stages; name the rank of each"
    assert refusal(replace(fine, stage_to_rank=(0, 2))).startswith("stage 1 is on rank 2, but there are "
                                                                   "orders for 2 ranks")
    assert refusal(fine, lower(fine)[:1]) == "1 programs for 2 ranks; give one for each rank"


def swap(rank: int, one: int, other: int) -> Change:
    def change(programs: list[Program]) -> None:
        programs[rank][one], programs[rank][other] = programs[rank][other], programs[rank][one]
    return change


def put(rank: int, number: int, *steps: ProgramStep, instead: int = 0) -> Change:
    """Insert the steps there, in place of as many as `instead` says."""
    def change(programs: list[Program]) -> None:
        programs[rank][number:number + instead] = steps
    return change


X1 = Message("x", 0, 1)


# The program of rank 1 begins: receive x0@0, F0@1, send x0@1, receive x1@0, F1@1, send x1@1, receive g0@2
@pytest.mark.parametrize("change, said", [
    (swap(1, 3, 4),
     "rank 1, stage 1, step 3: F1 has no input: the receive of x1@0 comes only in step 4; move it before "
     "this step"),
    (put(1, 3, instead=1),
     "rank 1, stage 1, step 3: F1 has no input: x1@0, which rank 0 sends in step 3, is never received; add"),
    (put(0, 3, instead=1),
     "rank 1, stage 1, step 3: the receive of x1@0 waits for ever: rank 0 never sends it; add the send"),
    (swap(0, 2, 3),
     "rank 0, stage 0, step 2: the send of x1@0 has nothing to send: F1@0 comes only in step 3; move it "
     "before"),
    (put(0, 2, instead=1),
     "rank 0, stage 0, step 2: the send of x1@0 has nothing to send: F1@0 is missing on this rank; add it"),
    (put(0, 4, Send(X1, 1)),
     "rank 0, stage 0, step 4: the send of x1@0 occurs a second time, after step 3; drop one of them"),
    (put(1, 5, Receive(X1, 0)),
     "rank 1, stage 1, step 5: the receive of x1@0 occurs a second time, after step 3; drop one of"),
    (put(0, 3, Send(X1, 2), instead=1),
     "rank 0, stage 0, step 3: the send of x1@0 names rank 2; name rank 1"),
    (put(2, 0, Receive(X1, 0)),
     "rank 2, stage 1, step 0: the receive of x1@0 is on the wrong rank; move it to rank 1"),
    (put(2, 0, Send(Message("x", 2, 0), 0)),
     "rank 2, stage 2, step 0: the send of x0@2 is of a message that no stage needs; drop"),
    (swap(1, 0, 3),
     "rank 1, stage 1, step 1: F0 has no input: the receive of x0@0 comes only in step 3; move it before "
     "this step"),
    (put(1, 0, Receive(X1, 0), Receive(Message("x", 0, 0), 0), Instruction("F", 1, 0),
         Send(Message("x", 1, 0), 2), instead=4),
     "rank 1, stage 1, step 0: the receive of x1@0 gets x0@0, which rank 0 sends before it, in step 1; "
     "receive what a stage sends"),
    (put(0, 3, SendCompleted(X1, 1)),
     "rank 0, stage 0, step 3: the Sent of x1@0 comes too early: the send of x1@0 comes only in step 4"),
    (put(0, 4, SendCompleted(X1, 1)),
     "rank 0, stage 0, step 4: the Sent of x1@0 comes too early: nothing proves that rank 1 has received"),
    (put(1, 0, Receive(Message("g", 2, 0), 2)),
     "rank 1, stage 1, step 7: the receive of g0@2 occurs a second time, after step 0"),
])
def test_programs(change: Change, said: str) -> None:
    assert refused_after(change).startswith(said)


def test_a_send_between_stages_of_one_rank() -> None:
    schedule = make_schedule("zb-v", 2, 1)
    programs = lower(schedule)
    programs[1].insert(2, Send(Message("x", 1, 0), 1))
    assert refusal(schedule, programs) == (
        "rank 1, stage 1, step 2: the send of x0@1 is between two stages of one rank; drop it, the value is "
        "there")


def test_programs_that_wait_for_each_other() -> None:
    schedule = make_schedule("gpipe", 2, 2)
    programs = lower(schedule)
    programs[0].insert(0, programs[0].pop(programs[0].index(Receive(Message("g", 1, 0), 1))))
    assert refusal(schedule, programs) == (
        "deadlock: rank 0, stage 0, step 0: the receive of g0@1 waits for rank 1; rank 1, stage 1, step 0: "
        "the receive of x0@0 "
        "waits for rank 0; let one of these ranks do first what the other waits for")


def test_a_sent_may_be_proven_by_a_third_rank() -> None:
    """Rank 0 hears of rank 1's progress from rank 2: stages 0 to 3 are on ranks 0, 1, 2, 0."""
    schedule = schedule_of("F0 F0@3", "F0", "F0", stage_to_rank=(0, 1, 2, 0), micro_batches=1,
                           forward_only=True)
    programs = lower(schedule)
    lint(schedule, programs)
    programs[0].append(SendCompleted(Message("x", 0, 0), 1))
    lint(schedule, programs)
    programs[0].insert(2, programs[0].pop())
    assert refusal(schedule,
                   programs).startswith("rank 0, stage 0, step 2: the Sent of x0@0 comes too early: nothing "
                                        "proves")


def test_the_later_of_two_messages_may_be_received_early() -> None:
    """A rank that computes micro-batches in another order than the one before it."""
    report = lint(schedule_of("F0 F1 F2", "F2 F0 F1", forward_only=True, micro_batches=3))
    assert report.safe_sync and report.messages == {(0, 1): 3}
