"""Small schedules and their programs, each spoilt in one place: the same ones every time.

Most mutants are illegal, some stay legal, and some are legal only as long as no send waits for its receive.
The corpus does not say which: the brute force does.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from minipar.schedules.generators import make_schedule
from minipar.schedules.instruction import Instruction, Schedule
from minipar.schedules.lower import Program, Receive, Send, SendCompleted, lower

Base = tuple[str, int, int, int | None]  # name, ranks, micro-batches, stages per rank (None: usual)
BASES: list[Base] = [
    ("naive", 2, 2, None), ("gpipe", 2, 3, None), ("gpipe", 3, 2, None), ("gpipe", 2, 4, None),
    ("1f1b", 2, 3, None),
    ("1f1b", 3, 3, None), ("eager-1f1b", 2, 3, None), ("interleaved", 2, 2, 2), ("looped-bfs", 2, 2, 2),
    ("zb-h1", 2, 3, None),
    ("zb-h2", 2, 3, None), ("zb-v", 2, 2, None), ("dualpipev", 2, 2, None), ("inference", 3, 3, 1),
    ("inference", 2, 2, 2),
]
EACH = 2                                                             # mutants of one kind of one schedule


class Mutant(NamedTuple):
    """programs: None if the schedule itself is the mutant."""

    name: str
    schedule: Schedule
    programs: list[Program] | None = None


Draw = random.Random
Lists = list[list[Any]]                 # of each rank, its steps; mutants change their fields by name


def mutants_of(base: Base) -> list[Mutant]:
    """The mutants of one schedule, no two alike, none equal to what it was made from."""
    schedule = make_schedule(*base)
    seen = {repr(schedule), repr(lower(schedule))}  # as text, since a Send and a Receive are equal as tuples
    mutants = []
    for mutant in _draw(schedule):
        content = repr(mutant.schedule if mutant.programs is None else mutant.programs)
        if content not in seen:
            seen.add(content)
            mutants.append(mutant)
    return mutants


def _draw(schedule: Schedule) -> Iterator[Mutant]:
    for mutate in (*ON_STEPS, *ON_ORDERS):
        for number in range(EACH):
            name = f"{schedule.name} order: {mutate.__name__} {number}"
            orders: Lists = [list(order) for order in schedule.orders]
            if mutate(orders, schedule, Draw(name)):
                yield Mutant(name, dataclasses.replace(schedule, orders=tuple(map(tuple, orders))))
    for mutate in (*ON_STEPS, *ON_PROGRAMS):
        for number in range(EACH):
            name = f"{schedule.name} program: {mutate.__name__} {number}"
            programs = lower(schedule)
            if mutate(programs, schedule, Draw(name)):
                yield Mutant(name, schedule, programs)


def drop(steps: Lists, schedule: Schedule, draw: Draw) -> bool:
    rank, number = _any(steps, draw)
    del steps[rank][number]
    return True


def double(steps: Lists, schedule: Schedule, draw: Draw) -> bool:
    rank, number = _any(steps, draw)
    steps[rank].insert(number, steps[rank][number])
    return True


def repeat_at_the_end(steps: Lists, schedule: Schedule, draw: Draw) -> bool:
    rank, number = _any(steps, draw)
    steps[rank].append(steps[rank][number])
    return True


def swap_neighbours(steps: Lists, schedule: Schedule, draw: Draw) -> bool:
    rank, number = _any(steps, draw)
    other = number + 1 if number + 1 < len(steps[rank]) else number - 1
    steps[rank][number], steps[rank][other] = steps[rank][other], steps[rank][number]
    return True


def swap_any_two(steps: Lists, schedule: Schedule, draw: Draw) -> bool:
    rank, number = _any(steps, draw)
    other = draw.randrange(len(steps[rank]))
    steps[rank][number], steps[rank][other] = steps[rank][other], steps[rank][number]
    return True


def do_earlier(steps: Lists, schedule: Schedule, draw: Draw) -> bool:
    rank, number = _any(steps, draw)
    steps[rank].insert(draw.randrange(number + 1), steps[rank].pop(number))
    return True


def do_later(steps: Lists, schedule: Schedule, draw: Draw) -> bool:
    rank, number = _any(steps, draw)
    step = steps[rank].pop(number)
    steps[rank].insert(draw.randint(number, len(steps[rank])), step)
    return True


def move_to_another_rank(steps: Lists, schedule: Schedule, draw: Draw) -> bool:
    rank, number = _any(steps, draw)
    other = (rank + draw.randrange(1, len(steps))) % len(steps)
    steps[other].insert(draw.randint(0, len(steps[other])), steps[rank].pop(number))
    return True


def reverse_a_stretch(steps: Lists, schedule: Schedule, draw: Draw) -> bool:
    rank, number = _any(steps, draw)
    stop = number + draw.randint(2, 4)
    steps[rank][number:stop] = reversed(steps[rank][number:stop])
    return True


def another_micro_batch(steps: Lists, schedule: Schedule, draw: Draw) -> bool:
    # the last of these does not exist
    return _relabel(steps, draw, micro=draw.randint(0, schedule.micro_batches))


def another_stage(steps: Lists, schedule: Schedule, draw: Draw) -> bool:
    return _relabel(steps, draw, stage=draw.randint(-1, schedule.stages))


def another_kind(steps: Lists, schedule: Schedule, draw: Draw) -> bool:
    return _relabel(steps, draw, kind=draw.choice("FBWX"))


def one_more(steps: Lists, schedule: Schedule, draw: Draw) -> bool:
    """One that the schedule does not know: of another micro-batch, or W where backward is not split."""
    rank, number = _any(steps, draw)
    step = steps[rank][number]
    steps[rank].append(step._replace(kind="W") if draw.random() < 0.5
                       else step._replace(micro=schedule.micro_batches))
    return True


def answer_at_once(steps: Lists, schedule: Schedule, draw: Draw) -> bool:
    """The last stage goes backward as soon as it can: never wrong, but a gradient may then meet activations
    on their way up.
    """
    order = steps[schedule.stage_to_rank[-1]]
    numbers = [number for number, step in enumerate(order) if step.kind == "B"
               and step.stage == schedule.stages - 1]
    if numbers:
        backward = order.pop(draw.choice(numbers))
        order.insert(order.index(backward._replace(kind="F")) + 1, backward)
    return bool(numbers)


def swap_micro_batches(steps: Lists, schedule: Schedule, draw: Draw) -> bool:
    """Two micro-batches change places in all that one rank does of one stage and kind, which is legal in most
    orders.
    """
    rank, number = _any(steps, draw)
    kind, stage = steps[rank][number][:2]
    numbers = [n for n, step in enumerate(steps[rank]) if step[:2] == (kind, stage)]
    one, other = numbers[0], numbers[-1]
    steps[rank][one], steps[rank][other] = steps[rank][other], steps[rank][one]
    return True


def swap_ranks(steps: Lists, schedule: Schedule, draw: Draw) -> bool:
    rank, _ = _any(steps, draw)
    other = (rank + 1) % len(steps)
    steps[rank], steps[other] = steps[other], steps[rank]
    return True


def another_peer(steps: Lists, schedule: Schedule, draw: Draw) -> bool:
    rank, number = _any(steps, draw, Send, Receive)
    step = steps[rank][number]
    steps[rank][number] = step._replace(peer=(step.peer + 1) % (len(steps) + 1))
    return True


def another_message(steps: Lists, schedule: Schedule, draw: Draw) -> bool:
    rank, number = _any(steps, draw, Send, Receive)
    step = steps[rank][number]
    changed = step.message._replace(micro=draw.randint(0, schedule.micro_batches))
    steps[rank][number] = step._replace(message=changed)
    return True


def forget_a_send(steps: Lists, schedule: Schedule, draw: Draw) -> bool:
    return _forget(steps, draw, Send)


def forget_a_receive(steps: Lists, schedule: Schedule, draw: Draw) -> bool:
    return _forget(steps, draw, Receive)


def forget_both_ends(steps: Lists, schedule: Schedule, draw: Draw) -> bool:
    rank, number = _any(steps, draw, Send)
    send = steps[rank].pop(number)
    steps[send.peer][:] = [step for step in steps[send.peer] if isinstance(step, Instruction)
                           or step.message != send.message]
    return True


def send_twice(steps: Lists, schedule: Schedule, draw: Draw) -> bool:
    return _twice(steps, draw, Send)


def receive_twice(steps: Lists, schedule: Schedule, draw: Draw) -> bool:
    return _twice(steps, draw, Receive)


def send_and_receive_twice(steps: Lists, schedule: Schedule, draw: Draw) -> bool:
    rank, number = _any(steps, draw, Send)
    send = steps[rank][number]
    steps[rank].append(send)
    steps[send.peer].append(Receive(send.message, rank))
    return True


def send_before_computing(steps: Lists, schedule: Schedule, draw: Draw) -> bool:
    rank, number = _any(steps, draw, Send)
    steps[rank].insert(number - 1, steps[rank].pop(number))
    return True


def send_at_the_end(steps: Lists, schedule: Schedule, draw: Draw) -> bool:
    rank, number = _any(steps, draw, Send)
    steps[rank].append(steps[rank].pop(number))
    return True


def receive_after_using(steps: Lists, schedule: Schedule, draw: Draw) -> bool:
    rank, number = _any(steps, draw, Receive)
    steps[rank].insert(number + 1, steps[rank].pop(number))
    return True


def receive_first_of_all(steps: Lists, schedule: Schedule, draw: Draw) -> bool:
    rank, number = _any(steps, draw, Receive)
    steps[rank].insert(0, steps[rank].pop(number))
    return True


def receive_in_another_order(steps: Lists, schedule: Schedule, draw: Draw) -> bool:
    """Two receives of one channel change places; what they name, and what needs it, stays."""
    rank, number = _any(steps, draw, Receive)
    channel = steps[rank][number].message.channel
    same = [n for n, step in enumerate(steps[rank]) if isinstance(step, Receive)
            and step.message.channel == channel]
    steps[rank].insert(same[0], steps[rank].pop(same[-1]))
    return len(same) > 1


def receive_before_sending(steps: Lists, schedule: Schedule, draw: Draw) -> bool:
    """The next receive, and what it is waited for by, comes before a send: a ring where each one sends, or
    receives, first.
    """
    rank, number = _any(steps, draw, Send)
    later = [n for n, step in enumerate(steps[rank]) if n > number and isinstance(step, Receive)]
    if later:
        steps[rank].insert(number, steps[rank].pop(later[0]))
    return bool(later)


def release_too_early(steps: Lists, schedule: Schedule, draw: Draw) -> bool:
    rank, number = _any(steps, draw, Send)
    send = steps[rank][number]
    steps[rank][:] = [step for step in steps[rank] if not isinstance(step, SendCompleted)
                      or step.message != send.message]
    number = next(n for n, step in enumerate(steps[rank]) if isinstance(step, Send) and step == send)
    steps[rank].insert(draw.randint(number, len(steps[rank])), SendCompleted(*send))
    return True


def never_release(steps: Lists, schedule: Schedule, draw: Draw) -> bool:
    for program in steps:
        program[:] = [step for step in program if not isinstance(step, SendCompleted)]
    return True


ON_STEPS: tuple[Callable[[Lists, Schedule, Draw], bool], ...] = (
    drop, double, repeat_at_the_end, swap_neighbours, swap_any_two, do_earlier, do_later,
    move_to_another_rank, reverse_a_stretch,
)
ON_ORDERS = (another_micro_batch, another_stage, another_kind, one_more, answer_at_once, swap_micro_batches,
             swap_ranks)
ON_PROGRAMS = (
    another_peer, another_message, forget_a_send, forget_a_receive, forget_both_ends, send_twice,
    receive_twice,
    send_and_receive_twice, send_before_computing, send_at_the_end, receive_after_using, receive_first_of_all,
    receive_in_another_order, receive_before_sending, release_too_early, never_release,
)


def _any(steps: Lists, draw: Draw, *kinds: type) -> tuple[int, int]:
    """Where one of the steps of these kinds stands."""
    places = [(rank, number) for rank, program in enumerate(steps) for number, step in enumerate(program)
              if not kinds or isinstance(step, kinds)]
    return draw.choice(places)


def _relabel(steps: Lists, draw: Draw, **changes: object) -> bool:
    rank, number = _any(steps, draw)
    steps[rank][number] = steps[rank][number]._replace(**changes)
    return True


def _forget(steps: Lists, draw: Draw, kind: type) -> bool:
    rank, number = _any(steps, draw, kind)
    del steps[rank][number]
    return True


def _twice(steps: Lists, draw: Draw, kind: type) -> bool:
    rank, number = _any(steps, draw, kind)
    steps[rank].insert(draw.randint(number, len(steps[rank])), steps[rank][number])
    return True
