"""Reads a schedule from a JSON file or a Python file. `lint` checks the schedule.

A JSON file has an object with "orders": the instructions of each rank in
order, as one text or as a list of words.

    {"orders": ["F0 F1 B0 B1", "F0 B0 F1 B1"]}

F0 is the forward of micro-batch 0, and B0 is its backward. In a schedule
that has W (the gradient of the weights), B0 is only the gradient of the
input. F0@2 is the forward on stage 2. A rank with one stage may leave out
the @. A schedule without B is forward-only. Optional fields:

    stage_to_rank   the rank of each stage; by default taken from the
                    orders; without an @, stage s is on rank s
    micro_batches   the number of micro-batches; by default the number in
                    the orders
    name            the name of the schedule

A Python file defines `schedule(ranks, micro_batches)`. This function
returns a Schedule, or a list of orders. An order is written as above, or is
a list of Instructions. The file is executed with all your rights, so use
only files that you trust. A JSON file is only read.

    def schedule(ranks, micro_batches):
        order = [f"F{m}" for m in range(micro_batches)]
        order += [f"B{m}" for m in range(micro_batches)]
        return [order for _ in range(ranks)]
"""

from __future__ import annotations

import re
import runpy
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from numbers import Integral
from pathlib import Path
from typing import Any

from minipar.errors import ScheduleError, shown
from minipar.schedules.instruction import KINDS, Instruction, Schedule
from minipar.untrusted.files import MIB, read_bytes
from minipar.untrusted.plain import parse_json

FIELDS = ("name", "micro_batches", "stage_to_rank", "orders")
RENAMED = {"homes": "stage_to_rank"}  # names of fields in files of version 0.1
LARGEST, MOST_RANKS, MOST = 32 * MIB, 2048, 1_000_000  # bytes, orders and instructions of a file
LONGEST_NAME = 80                                                   # characters
RUNNING = threading.Lock()  # a lock, because runpy changes sys.modules, and ranks may be threads


def to_json(schedule: Schedule) -> dict[str, Any]:
    """Converts a schedule to plain values. `from_json` converts them back to the same schedule."""
    short = [len(schedule.stages_of(rank)) == 1 for rank in range(schedule.ranks)]
    orders = [" ".join(f"{kind}{micro}" if short[rank] else f"{kind}{micro}@{stage}" for kind, stage,
                       micro in order)
              for rank, order in enumerate(schedule.orders)]
    return dict(zip(FIELDS, (schedule.name, schedule.micro_batches, list(schedule.stage_to_rank), orders),
                    strict=True))


def from_json(values: Any, source: str) -> Schedule:
    """Makes a schedule from the values in a JSON file. source: the file, for errors; its stem is the default
    name. Raises ScheduleError for invalid values.
    """
    if not isinstance(values, dict) or "orders" not in values:
        raise ScheduleError(f'{source}: no orders; write {{"orders": ["F0 B0", ...]}}, one for each rank')
    values = {RENAMED.get(field, field): value for field, value in values.items()}
    if unknown := sorted(set(values) - set(FIELDS)):
        raise ScheduleError(f"{source}: unknown field {shown(unknown[0])}; choose among {', '.join(FIELDS)}")
    stage_to_rank, micro_batches, name = (values.get(field)
                                          for field in ("stage_to_rank", "micro_batches", "name"))
    if name is not None:
        _require_name(name, source)
    return _schedule(name or Path(source).stem, source, values["orders"], stage_to_rank, micro_batches)


def load_json(path: str | Path) -> Schedule:
    """Reads the schedule in a JSON file. Raises ScheduleError, which names the wrong value."""
    return from_json(parse_json(_read(path), path, ScheduleError), str(path))


def load_python(path: str | Path, ranks: int, micro_batches: int) -> Schedule:
    """Returns the schedule that `schedule(ranks, micro_batches)` of a Python file returns. This function
    executes the file, so you must trust the file.

    Raises ScheduleError, which names the line in which the file fails.
    """
    if not _read(path):  # a system file of size 0 may be endless
        raise ScheduleError(f"{path} is empty; define schedule(ranks, micro_batches) in it", item=str(path))
    try:
        with RUNNING, _streams_kept():
            function = runpy.run_path(str(path)).get("schedule")
            if not callable(function):
                raise ScheduleError(f"{path}: no function schedule(ranks, micro_batches); define one that "
                                    "returns an order for each rank")
            found = _made(path, function(ranks, micro_batches), micro_batches)
    except (ScheduleError, KeyboardInterrupt):
        raise
    except BaseException as error:  # a user's program may raise any error, also SystemExit
        raise ScheduleError(_told(path, error)) from error
    for what, asked, given in (("ranks", ranks, found.ranks),
                               ("micro-batches", micro_batches, found.micro_batches)):
        if given != asked:
            raise ScheduleError(f"{path}: schedule({ranks}, {micro_batches}) returns orders for {given} "
                                f"{what}; return {asked}")
    return found


@contextmanager
def _streams_kept() -> Iterator[None]:
    """A context that restores sys.stdout and sys.stderr, because the program in it may replace them."""
    streams = sys.stdout, sys.stderr
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams


def _made(path: str | Path, made: Any, micro_batches: int) -> Schedule:
    """Makes a Schedule from the result of a Python file's function. The result is checked like a JSON file.
    """
    if not isinstance(made, Schedule):
        return _schedule(Path(path).stem, str(path), made, None, micro_batches)
    _require_name(made.name, path)
    for name in ("split", "forward_only"):
        if not isinstance(value := getattr(made, name), bool):
            raise ScheduleError(f"{path}: {name} is {shown(value)}; it must be True or False", item=name)
    read = _schedule(made.name, str(path), made.orders, made.stage_to_rank, made.micro_batches)
    return replace(read, split=made.split, forward_only=made.forward_only)


def _require_name(name: Any, source: str | Path) -> None:
    """Raises ScheduleError unless the name is a text of one line, with at most LONGEST_NAME characters."""
    if not (isinstance(name, str) and name.isprintable() and len(name) <= LONGEST_NAME):
        raise ScheduleError(f"{source}: name is {shown(name)}; write a text of one line, at most "
                            f"{LONGEST_NAME} characters", item="name")


def _read(path: str | Path) -> bytes:
    try:
        return read_bytes(path, LARGEST, ScheduleError)
    except OSError as error:
        raise ScheduleError(f"{path} cannot be read: {error.strerror}; name another file") from error


def _told(path: str | Path, error: BaseException) -> str:
    """Returns the error's text, and the last line of the file in the traceback."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__)
             if frame.filename == str(path)]
    if isinstance(error, SyntaxError):
        lines.append(error.lineno)                                  # None or 0 if the file is not text
    where = f", line {lines[-1]}" if lines and lines[-1] else ""
    try:
        text = " ".join((error.msg if isinstance(error, SyntaxError) else str(error)).split())
    except Exception:                                               # the class may define its own __str__
        text = "its text cannot be printed"
    return f"{path}{where}: {type(error).__name__}{f': {text}' if text else ''}"


def _schedule(name: str, source: str, given: Any, stage_to_rank: Any, micro_batches: Any) -> Schedule:
    """Makes a schedule and checks its values. stage_to_rank, micro_batches: None to derive them from the
    orders.
    """
    if stage_to_rank is not None and not (isinstance(stage_to_rank, list | tuple)
                                          and all(type(owner) is int for owner in stage_to_rank)):
        raise ScheduleError(f"{source}: stage_to_rank is {shown(stage_to_rank)}; write a list of ranks, one "
                            "for each stage")
    if micro_batches is not None and type(micro_batches) is not int:
        raise ScheduleError(f"{source}: micro_batches is {shown(micro_batches)}; write a whole number")
    if micro_batches is not None and not 1 <= micro_batches <= MOST:
        raise ScheduleError(f"{source}: micro_batches is {shown(micro_batches)}; write a number from 1 to "
                            f"{MOST:,}")
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise ScheduleError(f"{source}: the orders are of type {type(given).__name__}; give a list with an "
                            "order for each rank")
    given = list(islice(given, MOST_RANKS + 1))                     # a class of the file may be endless
    if len(given) > MOST_RANKS:
        raise ScheduleError(f"{source}: more than {MOST_RANKS:,} orders; give fewer ranks")
    if wrong := [owner for owner in stage_to_rank or () if not 0 <= owner < len(given)]:
        raise ScheduleError(f"{source}: stage_to_rank names rank {shown(wrong[0])}; there are orders for "
                            f"ranks 0 to {len(given) - 1}")
    stages: dict[int, list[int]] = {}
    for stage, owner in enumerate(range(len(given)) if stage_to_rank is None else stage_to_rank):
        stages.setdefault(owner, []).append(stage)
    orders, count = [], 0
    for rank, order in enumerate(given):
        words = str.split(order, None, MOST + 1) if isinstance(order, str) else order
        if not isinstance(words, Sequence):
            raise ScheduleError(f"{source}, rank {rank}: the order is of type {type(order).__name__}; give a "
                                "text or a list")
        words = list(islice(words, MOST + 1 - count))
        if (count := count + len(words)) > MOST:
            raise ScheduleError(f"{source}: more than {MOST:,} instructions; give fewer ranks or "
                                "micro-batches")
        mine = stages.get(rank, [])
        orders.append(tuple(_instruction(word, mine, f"{source}, rank {rank}, step {step}")
                            for step, word in enumerate(words)))
    instructions = [instruction for order in orders for instruction in order]
    if not instructions:
        raise ScheduleError(f"{source}: there is no instruction in the orders; write for example F0 B0, one "
                            "text for each rank")
    if stage_to_rank is None:
        stage_to_rank = _stage_to_rank_of(source, orders)
    if micro_batches is None:
        micro_batches = 1 + max(instruction.micro for instruction in instructions)
    kinds = {instruction.kind for instruction in instructions}
    return Schedule(name, micro_batches, tuple(stage_to_rank), tuple(orders), split="W" in kinds,
                    forward_only=not kinds & {"B", "W"})


def _instruction(word: Any, stages: list[int], where: str) -> Instruction:
    """Parses an instruction. stages: the stages of its rank."""
    if isinstance(word, Instruction):
        return _checked(word, where)
    parts = re.fullmatch(rf"([{''.join(KINDS)}])(\d{{1,9}})(?:@(\d{{1,9}}))?", word,
                         re.ASCII) if isinstance(word, str) else None
    if parts is None:
        raise ScheduleError(f"{where}: {shown(word)} is not an instruction; write F0, B0 or W0 with the "
                            "micro-batch's number, or F0@2 with the stage's number, too")
    kind, micro, stage = parts.groups()
    if stage is None and len(stages) != 1:
        raise ScheduleError(f"{where}: {word} does not give its stage, but its rank has {len(stages)} "
                            f"stages; write for example {word}@{stages[0] if stages else 0}")
    return Instruction(kind, int(stages[0] if stage is None else stage), int(micro))


def _checked(made: Instruction, where: str) -> Instruction:
    """Converts the numbers of an instruction to plain ints. Whole numbers of NumPy are also accepted."""
    kind, *numbers = made
    if kind not in KINDS or not all(isinstance(number, Integral) for number in numbers):
        raise ScheduleError(f"{where}: {shown(made)} is not an instruction; its kind must be "
                            f"{', '.join(KINDS[:-1])} or {KINDS[-1]}, and its stage and micro-batch must "
                            "be whole numbers")
    return Instruction(kind, *map(int, numbers))


def _stage_to_rank_of(source: str, orders: Sequence[Sequence[Instruction]]) -> list[int]:
    """Returns, for each stage, the first rank that has one of its instructions."""
    stage_to_rank: dict[int, int] = {}
    for rank, order in enumerate(orders):
        for instruction in order:
            stage_to_rank.setdefault(instruction.stage, rank)
    for stage in range(max(stage_to_rank, default=-1) + 1):
        if stage not in stage_to_rank:
            raise ScheduleError(f"{source}: no rank has stage {stage}, but rank "
                                f"{stage_to_rank[max(stage_to_rank)]} has stage {max(stage_to_rank)}; use "
                                f"every stage from 0 on")
    return [stage_to_rank[stage] for stage in sorted(stage_to_rank)]
