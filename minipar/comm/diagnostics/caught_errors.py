"""Ends a job whose program catches the error of a wait and waits again, for ever:

    while True:
        try:
            comm.recv(numbers, source=1)
        except Exception:
            pass

The detector reports a deadlock or a time limit by an error. In such a loop, the program hides each error,
and the job would never end. So each rank counts its errors by the line of the program that waited. If one
line has had at least FEWEST errors, and the first one is older than the time limit of a wait, the rank ends
the job.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from minipar.comm.diagnostics.call_site import caller
from minipar.errors import CommError

FEWEST = 10  # number of errors of one line; a program may catch a few errors on purpose


class CaughtErrors:
    """The errors of the waits of one rank. limit: the time limit of a wait, in seconds. end_job: a function
    that ends the job with an error, and returns the exception to raise instead; None outside a job.
    """

    def __init__(self, limit: float, end_job: Callable[[CommError], BaseException] | None = None) -> None:
        self.limit, self.end_job = limit, end_job
        self.lines: dict[str, tuple[int, float]] = {}               # line -> (number of errors, first time)

    def raised(self, error: CommError) -> BaseException:
        """Count an error of a wait. Returns the exception that the wait raises: usually this error."""
        line, now = caller()[1], time.monotonic()
        count, first = self.lines.get(line, (0, now))
        self.lines[line] = count + 1, first
        if count + 1 < FEWEST or now - first < self.limit or self.end_job is None:
            return error
        return self.end_job(CommError(f"{error}; the program has caught {count:,} such errors at {line} and "
                                      "waits again each time", **error.facts))
