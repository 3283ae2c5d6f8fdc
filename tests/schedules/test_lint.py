"""What lint says: of schedules that are right, and of each kind of mistake: its kind and the step."""

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
FACTS = ("kind", "rank", "stage", "step", "item")
Facts = tuple[object, ...]                                          # in that order


def schedule_of(*orders: str, stage_to_rank: tuple[int, ...] | None = None, micro_batches: int = 2,
                **fields: bool) -> Schedule:
    """orders: such as "F0 F1 B0 B1"; a stage is the rank's, or named by "F0@1"."""
    def instruction(rank: int, word: str) -> Instruction:
        head, _, stage = word.partition("@")
        return Instruction(head[0], int(stage or rank), int(head[1:]))

    return Schedule("own", micro_batches, stage_to_rank or tuple(range(len(orders))),
                    tuple(tuple(instruction(rank, word) for word in order.split())
                          for rank, order in enumerate(orders)), **fields)


def refusal(schedule: Schedule, programs: list[Program] | None = None, **options: bool) -> str:
    with pytest.raises(ScheduleError) as caught:
        lint(schedule, programs, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def facts_of(schedule: Schedule, programs: list[Program] | None = None) -> Facts:
    """What is wrong, where, and with which step. The message begins with that, and ends with what to do."""
    with pytest.raises(ScheduleError) as caught:
        lint(schedule, programs)
    kind, rank, stage, step, item = (caught.value.facts[name] for name in FACTS)
    said = str(caught.value)
    assert said.startswith(f"rank {rank}, stage {stage}, step {step}: {item} ") and "; " in said
    return kind, rank, stage, step, item


def changed_gpipe(change: Change) -> tuple[Schedule, list[Program]]:
    """GPipe's programs for three ranks and two micro-batches, without Sents, after the change."""
    schedule = make_schedule("gpipe", 3, 2)
    programs: list[Program] = [[step for step in program if not isinstance(step, SendCompleted)]
                               for program in lower(schedule)]
    change(programs)
    return schedule, programs


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
        "rank 1, stage 1, step 1: B0 waits for rank 0 to receive g0@1; use asynchronous sends")


@pytest.mark.parametrize("orders, facts", [
    (("F0 B0 B1", "F0 F1 B0 B1"), ("no activations", 0, 0, 2, "B1")),
    (("F0 F1 B1 B0 F2", "F0 F1 B0 B1"), ("unknown micro-batch", 0, 0, 4, "F2")),
    (("F0 F1 B0 B1", "F0 B0 F1"), ("no gradient", 0, 0, 3, "B1")),
    (("F0 F1 B0", "F0 B0 F1 B1"), ("missing", 0, 0, 3, "B1")),
    (("F0 B0 F1 B1", "F0 F0 B0 F1 B1"), ("repeated", 1, 1, 1, "F0")),
    (("F0 B0 F1 B1", "F0 B0 B1 F1"), ("no activations", 1, 1, 2, "B1")),
    (("F0 B0 F1 B1 F1@1", "F0 B0 B1"), ("wrong rank", 0, 1, 4, "F1")),
    (("F0 F1 B0 B1@3", "F0 B0 F1 B1"), ("unknown stage", 0, 3, 3, "B1")),
    (("F0 F1 B0 W0 B1", "F0 B0 F1 B1"), ("needless W", 0, 0, 3, "W0")),
    (("F0 F1 B0 X1", "F0 B0 F1 B1"), ("unknown kind", 0, 0, 3, "X1")),
])
def test_orders(orders: tuple[str, ...], facts: Facts) -> None:
    assert facts_of(schedule_of(*orders)) == facts


def test_orders_of_a_rank_with_two_stages() -> None:
    assert facts_of(schedule_of("F0@1 F0@0 B0@1 B0@0", stage_to_rank=(0, 0), micro_batches=1)) == (
        "no input", 0, 1, 0, "F0")
    assert facts_of(schedule_of("F0@0 F0@1 B0@0 B0@1", stage_to_rank=(0, 0), micro_batches=1)) == (
        "no gradient", 0, 0, 2, "B0")
    assert lint(schedule_of("F0@0 F0@1 B0@1 B0@0", stage_to_rank=(0, 0), micro_batches=1)).messages == {}


def test_orders_of_a_split_backward_and_of_none() -> None:
    assert facts_of(schedule_of("F0 B0", split=True, micro_batches=1)) == ("missing", 0, 0, 2, "W0")
    assert facts_of(schedule_of("F0 W0 B0", split=True, micro_batches=1)) == ("no gradient", 0, 0, 1, "W0")
    assert facts_of(schedule_of("F0 B0", forward_only=True, micro_batches=1)) == (
        "backward in inference", 0, 0, 1, "B0")
    assert facts_of(schedule_of("F0 F1", "F0", forward_only=True)) == ("missing", 1, 1, 1, "F1")


def test_an_order_that_makes_ranks_wait_for_each_other() -> None:
    assert refusal(schedule_of("F0 B0 F1 B1", "F0 F1 B0 B1")) == (
        "deadlock: rank 0, stage 0, step 1: B0 waits for g0@1 from rank 1; rank 1, stage 1, step 1: F1 waits "
        "for x1@0 from rank 0; "
        "if another rank waits for a step, move this step to an earlier position")


def test_an_input_that_nobody_makes() -> None:
    assert facts_of(schedule_of("F1", "F0 F1", forward_only=True, micro_batches=2,
                                stage_to_rank=(0, 1))) == ("no input", 1, 1, 0, "F0")


def test_sizes() -> None:
    fine = make_schedule("gpipe", 2, 2)
    assert refusal(replace(fine, micro_batches=0)) == "0 micro-batches; give at least 1"
    assert refusal(replace(fine, stage_to_rank=())) == "there are no stages; give the rank of each stage"
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
@pytest.mark.parametrize("change, facts", [
    (swap(1, 3, 4), ("no input", 1, 1, 3, "F1")),
    (put(1, 3, instead=1), ("no input", 1, 1, 3, "F1")),
    (put(0, 3, instead=1), ("never sent", 1, 1, 3, "the receive of x1@0")),
    (swap(0, 2, 3), ("nothing to send", 0, 0, 2, "the send of x1@0")),
    (put(0, 2, instead=1), ("nothing to send", 0, 0, 2, "the send of x1@0")),
    (put(0, 4, Send(X1, 1)), ("repeated", 0, 0, 4, "the send of x1@0")),
    (put(1, 5, Receive(X1, 0)), ("repeated", 1, 1, 5, "the receive of x1@0")),
    (put(0, 3, Send(X1, 2), instead=1), ("wrong peer", 0, 0, 3, "the send of x1@0")),
    (put(2, 0, Receive(X1, 0)), ("wrong rank", 2, 1, 0, "the receive of x1@0")),
    (put(2, 0, Send(Message("x", 2, 0), 0)), ("needless message", 2, 2, 0, "the send of x0@2")),
    (swap(1, 0, 3), ("no input", 1, 1, 1, "F0")),
    (put(1, 0, Receive(X1, 0), Receive(Message("x", 0, 0), 0), Instruction("F", 1, 0),
         Send(Message("x", 1, 0), 2), instead=4), ("wrong order", 1, 1, 0, "the receive of x1@0")),
    (put(0, 3, SendCompleted(X1, 1)), ("too early", 0, 0, 3, "the SendCompleted of x1@0")),
    (put(0, 4, SendCompleted(X1, 1)), ("too early", 0, 0, 4, "the SendCompleted of x1@0")),
    (put(1, 0, Receive(Message("g", 2, 0), 2)), ("repeated", 1, 1, 7, "the receive of g0@2")),
])
def test_programs(change: Change, facts: Facts) -> None:
    assert facts_of(*changed_gpipe(change)) == facts


@pytest.mark.parametrize("change, words", [
    (swap(1, 3, 4), ["the receive of x1@0 comes later, in step 4", "move it before"]),
    (put(1, 3, instead=1), ["rank 0 sends in step 3", "never received", "add the receive"]),
    (put(0, 2, instead=1), ["F1@0 is missing on this rank", "add it before"]),
    (put(0, 3, instead=1), ["rank 0 never sends it", "add the send"]),
    (put(0, 4, SendCompleted(X1, 1)), ["no message proves", "move it after"]),
])
def test_what_to_do_is_said(change: Change, words: list[str]) -> None:
    schedule, programs = changed_gpipe(change)
    said = refusal(schedule, programs)
    assert all(word in said for word in words)


def test_a_send_between_stages_of_one_rank() -> None:
    schedule = make_schedule("zb-v", 2, 1)
    programs = lower(schedule)
    programs[1].insert(2, Send(Message("x", 1, 0), 1))
    assert facts_of(schedule, programs) == ("own rank", 1, 1, 2, "the send of x0@1")


def test_programs_that_wait_for_each_other() -> None:
    schedule = make_schedule("gpipe", 2, 2)
    programs = lower(schedule)
    programs[0].insert(0, programs[0].pop(programs[0].index(Receive(Message("g", 1, 0), 1))))
    assert refusal(schedule, programs) == (
        "deadlock: rank 0, stage 0, step 0: the receive of g0@1 waits for rank 1; rank 1, stage 1, step 0: "
        "the receive of x0@0 "
        "waits for rank 0; if another rank waits for a step, move this step to an earlier position")


def test_a_sent_may_be_proven_by_a_third_rank() -> None:
    """Rank 0 hears of rank 1's progress from rank 2: stages 0 to 3 are on ranks 0, 1, 2, 0."""
    schedule = schedule_of("F0 F0@3", "F0", "F0", stage_to_rank=(0, 1, 2, 0), micro_batches=1,
                           forward_only=True)
    programs = lower(schedule)
    lint(schedule, programs)
    programs[0].append(SendCompleted(Message("x", 0, 0), 1))
    lint(schedule, programs)
    programs[0].insert(2, programs[0].pop())
    assert facts_of(schedule, programs) == ("too early", 0, 0, 2, "the SendCompleted of x0@0")


def test_the_later_of_two_messages_may_be_received_early() -> None:
    """A rank that computes micro-batches in another order than the one before it."""
    report = lint(schedule_of("F0 F1 F2", "F2 F0 F1", forward_only=True, micro_batches=3))
    assert report.safe_sync and report.messages == {(0, 1): 3}
