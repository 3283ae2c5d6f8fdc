"""Runs the calls of a submission in a separate process with a time limit. The ranks are threads of that
process.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minipar.comm.held_signals import temporary_folder
from minipar.exercises import wire
from minipar.exercises.catalogue import exercises_folder
from minipar.exercises.exercise import Exercise
from minipar.exercises.fence import MEMORY, SCRATCH
from minipar.exercises.tasks import CallResult, GradedCall
from minipar.exercises.worker_process import NO_FRAME, WorkerProcess, problem, rank_result

GRACE = 1.0                                                         # seconds added to each time limit


@dataclass(frozen=True)
class Submission:
    """A student's file. source: its text. The grader reads the text once, and the worker process executes it.
    hidden: folders whose files the code must not read, besides those of the exercises.
    """

    path: Path
    source: str
    hidden: Sequence[str] = ()

    @property
    def name(self) -> str:
        return self.path.name


def description(exercise: Exercise, submission: Submission, scratch: str, limit: float, memory: int = MEMORY,
                cpu: float | None = None) -> dict[str, Any]:
    """Return the description of an exercise for the worker process. It does not contain the right results.
    limit: seconds for one call. cpu: seconds of CPU time for the process.
    """
    return {"path": str(submission.path.resolve()), "source": submission.source, "driver": exercise.driver(),
            "kind": exercise.kind, "function": exercise.function, "comm": exercise.comm,
            "collectives": exercise.allows_collectives, "program": exercise.program, "scratch": scratch,
            "secret": [str(exercises_folder()), str(exercise.folder.resolve()),
                       *submission.hidden],
            "cpu": cpu or 60 + 10 * limit, "memory": memory}


def told(call: GradedCall, limit: float) -> dict[str, Any]:
    """Return what the worker process must know about a call, as a dict. limit: seconds for the call."""
    return {"id": call.number, "ranks": call.ranks, "arguments": call.arguments,
            "synchronous": call.synchronous, "delays": call.delays, "clock": call.clock,
            "memory": call.memory, "limit": limit}


def on_threads(exercise: Exercise, submission: Submission, calls: Sequence[GradedCall], *,
               limit: float | None = None) -> Iterator[CallResult]:
    """Run the calls one after the other, and yield their results. Stop after a call that exceeded its time
    limit.
    """
    with Threads(submission.path) as threads:
        yield from threads.results(exercise, submission, calls, limit or exercise.seconds)


class Threads:
    """Holds a process that runs calls on threads. It serves one submission, or several trusted submissions in
    turn. If a call exceeds its time limit, the next submission gets a new process.

    cpu: the CPU time in seconds that the process may use in total. The default is enough for one submission.
    """

    def __init__(self, path: Path, cpu: float | None = None) -> None:
        self.scratch, self.cpu = temporary_folder(SCRATCH), cpu
        self.process, self.stopped = WorkerProcess("threads", self.scratch.name, path), False

    def __enter__(self) -> Threads:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.end()
        self.scratch.cleanup()

    def results(self, exercise: Exercise, submission: Submission, calls: Sequence[GradedCall],
                limit: float) -> Iterator[CallResult]:
        if self.stopped:
            self.process.end()
            self.process, self.stopped = WorkerProcess("threads", self.scratch.name, submission.path), False
        about = description(exercise, submission, self.scratch.name, limit, cpu=self.cpu)
        if trouble := self.process.load(about, limit + GRACE):
            self.stopped = True
            yield CallResult(calls[0], [None] * calls[0].ranks, trouble)
            return
        for call in calls:
            result = self.result(call, limit)
            self.stopped = result.error is not None and result.error["kind"] in ("died", "time")
            yield result
            if self.stopped:
                return

    def result(self, call: GradedCall, limit: float) -> CallResult:
        """Run one call and return its result. If the process cannot be used any more, the result's `error`
        has the kind "died" or "time".
        """
        result = CallResult(call, [None] * call.ranks)
        self.process.send(told(call, limit))
        deadline = time.monotonic() + limit + GRACE
        while True:
            frame = self.process.next(deadline - time.monotonic())
            if frame.get("end") is True:
                result.error = ended(frame, result)
                return result
            try:
                if "rank" in frame:
                    rank, found = rank_result(frame, call.ranks)
                    result.ranks[rank] = found
                    continue
            except wire.WireError:
                frame = problem("died", NO_FRAME)
            result.error = frame if "kind" in frame else problem("died", NO_FRAME)
            return result


def ended(frame: dict[str, Any], result: CallResult) -> dict[str, Any] | None:
    """Return the error of a call that has ended, or None. If its threads still run, the error has the kind
    "time", and no further call follows.
    """
    error = frame.get("error")
    if frame.get("spoilt"):
        told_already = result.errors()
        text = told_already[0][1]["text"] if told_already else "a thread still runs when all ranks have ended"
        return problem("time", text, told_already[0][1]["where"] if told_already else "")
    return error if isinstance(error, dict) and isinstance(error.get("text"), str) else None
