"""Finds the schedule that a user names: a schedule of minipar, or a file."""

from __future__ import annotations

from pathlib import Path

from minipar.errors import ScheduleError
from minipar.schedules.files import load_json, load_python
from minipar.schedules.generators import SCHEDULES, make_schedule
from minipar.schedules.instruction import Schedule

DEFAULT_RANKS, DEFAULT_MICRO_BATCHES = 4, 8


def find_schedule(source: str, ranks: int | None = None, micro_batches: int | None = None,
                  virtual: int | None = None) -> Schedule:
    """Returns the schedule that `source` names. A schedule from a file is not checked; use `lint` for this.

    source: a name in `SCHEDULES`, or a file that ends in .json or .py. ranks, micro_batches: None selects the
    numbers in a JSON file, or the defaults. virtual: stages per rank; None selects the number of the schedule
    or the file. Raises ScheduleError for an unknown name, and for a file that cannot be read or has other
    numbers of ranks or micro-batches. Raises LayoutError in the same cases as `make_schedule`.

    >>> import minipar as mp
    >>> print(*mp.schedule("1f1b", 2, 3).orders[0])
    F0@0 F1@0 B0@0 F2@0 B1@0 B2@0
    """
    ending = Path(source).suffix
    if source in SCHEDULES:
        return make_schedule(source, ranks or DEFAULT_RANKS, micro_batches or DEFAULT_MICRO_BATCHES, virtual)
    if ending not in (".json", ".py"):
        raise ScheduleError(f"no schedule is called {source!r}; choose one of {', '.join(SCHEDULES)}, or a "
                            "file that ends in .json or .py")
    if virtual is not None:
        raise ScheduleError(f"{source} defines each rank's number of stages; leave the number of virtual "
                            "stages out")
    if ending == ".py":
        return load_python(source, ranks or DEFAULT_RANKS, micro_batches or DEFAULT_MICRO_BATCHES)
    schedule = load_json(source)
    for what, asked, found in (("ranks", ranks, schedule.ranks),
                               ("micro-batches", micro_batches, schedule.micro_batches)):
        if asked not in (None, found):
            raise ScheduleError(f"{source} is for {found} {what}, not {asked}; ask for {found}, or use "
                                "another file")
    return schedule
