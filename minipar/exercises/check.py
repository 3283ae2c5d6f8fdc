"""Checks a submission with ranks that are threads. If it passes, checks it under mpirun, too."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from minipar.errors import ConfigError
from minipar.exercises.bug_answer import of_answer
from minipar.exercises.exercise import Exercise
from minipar.exercises.light import Verdict
from minipar.exercises.lights import verdict
from minipar.exercises.mpirun import LATE, mpi_missing, under_mpirun
from minipar.exercises.runner import Submission, on_threads
from minipar.exercises.tasks import CallResult, GradedCall, graded_calls
from minipar.exercises.worker_process import problem
from minipar.exercises.wrapping import kind_of
from minipar.untrusted.files import MIB
from minipar.untrusted.text import read_text

LONGEST_SOURCE = MIB                                                # bytes of a submission
BYTE_ORDER_MARK = "\ufeff"  # some editors write it at the beginning of a file


@dataclass(frozen=True)
class Checked:
    """The result of a check. threads: the verdict on threads. mpi: the verdict under mpirun, or None if the
    submission did not run there, for example because it failed on threads. without_mpi: a text if mpirun
    cannot be used, else "". seed: the seed of the inputs.
    """

    threads: Verdict
    mpi: Verdict | None
    without_mpi: str
    seed: int
    printed: tuple[tuple[int, int, str], ...]  # (ranks, rank, text) of one call

    @property
    def passed(self) -> bool:
        return self.threads.passed and (self.mpi is None or self.mpi.passed)


def read_submission(path: Path) -> Submission:
    """Read the student's file. Raises ConfigError if it cannot be read, or is larger than LONGEST_SOURCE."""
    return Submission(path, read_text(path, LONGEST_SOURCE, ConfigError).removeprefix(BYTE_ORDER_MARK))


def check(
    exercise: Exercise,
    submission: Submission,
    *,
    mpi: bool = True,
    seed: int | None = None,
    limit: float | None = None,
    on_threads_part: Callable[[Verdict, Sequence[CallResult]], object] = lambda verdict, results: None,
) -> Checked:
    """Check a submission on threads, and then under mpirun. mpi: if false, leave out mpirun. limit: seconds
    for one call. on_threads_part: a function that is called with the verdict and the results on threads,
    before mpirun starts.
    """
    seed = secrets.randbits(32) if seed is None else seed
    if (answer := of_answer(exercise, submission)) is not None:
        on_threads_part(answer, ())
        return Checked(answer, None, "", seed, ())
    calls = graded_calls(exercise, seed)
    results = list(on_threads(exercise, submission, calls, limit=limit))
    first = verdict(exercise, submission.source, results)
    on_threads_part(first, results)
    second, reason = None, ""
    if first.passed and mpi and exercise.comm:
        reason = mpi_missing()
        if not reason:
            second = verdict_of_mpirun(exercise, submission, calls)
    return Checked(first, second, reason, seed, printed(results))


def verdict_of_mpirun(exercise: Exercise, submission: Submission, calls: Sequence[GradedCall]) -> Verdict:
    """Run all calls that have no delays in one job under mpirun. A call with fewer ranks uses some ranks of
    the job.
    """
    mine = [call for call in calls if call.delays == 0]
    (results,), said = under_mpirun([(exercise, submission, mine)], max(exercise.ranks))
    return verdict(exercise, submission.source, whole(results, mine, said))


def whole(results: list[CallResult], calls: Sequence[GradedCall], said: str) -> list[CallResult]:
    """Return the results. If the job ended during a call, and no rank reported an error, this call gets the
    job's output, `said`, as its error.
    """
    unfinished = [result for result in results if any(rank is None for rank in result.ranks)]
    if len(results) < len(calls) and not unfinished:
        unfinished = [CallResult(calls[len(results)], [None] * calls[len(results)].ranks)]
        results = [*results, *unfinished]
    if unfinished and not any(result.errors() for result in results):
        text = said.strip() or "the job ended early"
        if LATE in text:  # the text before LATE only reports that ranks were ended
            text = text[text.rindex(LATE):]
            unfinished[0].error = problem("time", text)
            return results
        kind = kind_of(text.removeprefix("CommError: ")) if text.startswith("CommError") else "died"
        unfinished[0].error = problem(kind, re.sub(r"^CommError: (rank \d+ of \d+: )?", "", text))
    return results


def printed(results: Sequence[CallResult]) -> tuple[tuple[int, int, str], ...]:
    """Return the printed output, (ranks, rank, text), of the first failed call that printed. If there is
    none, return the output of the call whose number of ranks is nearest to 3.
    """
    wanted = [result for result in results if result.errors()]
    wanted += sorted(
        (result for result in results if result.call.plain), key=lambda result: abs(result.call.ranks - 3)
    )
    for result in wanted:
        texts = tuple(
            (result.call.ranks, rank, one.printed)
            for rank, one in enumerate(result.ranks)
            if one is not None and one.printed
        )
        if texts:
            return texts
    return ()
