"""Grades with one process per rank. All messages pass through the grader, which acts as a broker.

The student's code of each rank runs in its own process. For each rank, a thread of the grader holds the real
communicator (`minipar.comm.threads`, with checks, counters, a clock and delays). The process sends its
requests, such as "send this array", to the thread, and the thread executes them. So the grader itself records
messages, costs and waits, and the student's code cannot change these records. A process gets only the
arguments of its own rank.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from tempfile import TemporaryDirectory
from typing import Any

from minipar.comm.held_signals import temporary_folder
from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.comm.threads.world import Unwound
from minipar.comm.wrappers.base import Wrapper
from minipar.exercises import wire
from minipar.exercises.exercise import Exercise
from minipar.exercises.fence import SCRATCH
from minipar.exercises.rank_requests import RankRequests
from minipar.exercises.runner import GRACE, Submission, description
from minipar.exercises.tasks import CallResult, GradedCall, RankResult
from minipar.exercises.worker_process import NO_FRAME, WorkerProcess, problem, rank_result
from minipar.exercises.wrapping import Observed, described

MEMORY = 2 << 30                                                    # address space of one rank, in bytes
FAILURES = 3                                                        # failed calls before the grader stops
WHOLE = 30  # the time limit of all calls, as a multiple of the limit of one call
LOOK = 0.05              # seconds between two checks whether another rank has failed


class RankFailed(Exception):
    """Raised if this rank's process has ended, or if its call has failed. It makes the other ranks stop.
    """


def by_broker(exercise: Exercise, submission: Submission, calls: Sequence[GradedCall], *,
              limit: float | None = None) -> Iterator[CallResult]:
    """Run the calls one after the other, and yield their results, like `runner.on_threads`. limit: seconds
    for one call. Grading stops after FAILURES failed calls, or after WHOLE times the limit of one call.
    """
    seconds, failures = limit or exercise.seconds, 0
    last = time.monotonic() + WHOLE * seconds
    ranks = RankProcesses(exercise, submission, seconds)
    try:
        for call in calls:
            if time.monotonic() > last:
                late = problem("time", f"all calls together take more than {WHOLE * seconds:g} s")
                yield CallResult(call, [None] * call.ranks, late)
                return
            result = one_call(ranks, call, seconds)
            yield result
            if result.errors():
                failures += 1
                if failures == FAILURES:
                    return
                ranks.end()  # after a failure, the state of the processes is unknown
    finally:
        ranks.end()


class RankProcesses:
    """Starts the processes of the ranks. Each process starts when a call first needs it."""

    def __init__(self, exercise: Exercise, submission: Submission, limit: float) -> None:
        self.exercise, self.submission, self.limit = exercise, submission, limit
        self.started: list[tuple[WorkerProcess, TemporaryDirectory[str]]] = []

    def first(self, count: int) -> list[WorkerProcess | dict[str, Any]]:
        """Return the processes of the first `count` ranks. If a process fails to load the submission, the
        list holds its error (see `problem`) instead.
        """
        new = range(len(self.started), count)
        for _ in new:
            scratch = temporary_folder(SCRATCH)
            process = WorkerProcess("rank", scratch.name, self.submission.path)
            self.started.append((process, scratch))
        found: list[WorkerProcess | dict[str, Any]] = [process for process, _ in self.started[:count]]
        for rank in new:
            process, scratch = self.started[rank]
            about = description(self.exercise, self.submission, scratch.name, self.limit, MEMORY)
            if trouble := process.load(about, self.limit + GRACE):
                found[rank] = trouble
        return found

    def end(self) -> None:
        for process, scratch in self.started:
            process.end()
            scratch.cleanup()
        self.started = []


def one_call(ranks: RankProcesses, call: GradedCall, limit: float) -> CallResult:
    """Run one call on its ranks and return the result. limit: seconds."""
    result = CallResult(call, [None] * call.ranks)
    processes = ranks.first(call.ranks)
    for process in processes:
        if isinstance(process, dict):
            result.error = process
            return result
    deadline = time.monotonic() + limit

    def serve(comm: Communicator) -> None:
        process = processes[comm.rank]
        assert isinstance(process, WorkerProcess)
        rank = BrokeredRank(process, comm, call, ranks, deadline)
        try:
            rank.serve()
        finally:
            result.ranks[comm.rank] = rank.result

    try:
        run(call.ranks, serve, synchronous=call.synchronous, timeout=limit)
    except RankFailed:
        pass
    except Exception as error:  # Ctrl-C ends the grader; it is no error of the submission
        result.error = described(error, str(ranks.submission.path.resolve()))
    return result


class BrokeredRank:
    """Executes the requests of one rank's process during one call."""

    def __init__(self, process: WorkerProcess, comm: Communicator, call: GradedCall, ranks: RankProcesses,
                 deadline: float) -> None:
        self.process, self.call, self.deadline = process, call, deadline
        self.engine: Any = comm
        while isinstance(self.engine, Wrapper):
            self.engine = self.engine.inner
        task = {"clock": call.clock, "delays": call.delays}
        self.observed = Observed(comm, task, ranks.exercise.comm == "mpi4py", ranks.submission.source,
                                 ranks.exercise.allows_collectives)
        self.requests = RankRequests(self.observed.comm, str(process.path.resolve()))
        self.result: RankResult | None = None

    def serve(self) -> None:
        """Execute requests until the process sends its result. Raises RankFailed if this rank fails, and
        Unwound if another rank has failed.
        """
        self.process.send({"arguments": self.call.arguments[self.observed.comm.rank],
                           "group": self.requests.about(0), "memory": self.call.memory,
                           "limit": max(0.1, self.deadline - time.monotonic())})
        try:
            while "call" in (frame := self.next()):
                self.process.send(self.requests.answer(frame))
            _, self.result = rank_result(frame, self.call.ranks)
        except Unwound:
            self.result = RankResult(error=problem("stopped", ""))
            raise
        except wire.WireError as error:
            self.result = RankResult(error=problem("died", f"{NO_FRAME}: {error}"))
        if self.result.error is None:
            self.result.error = self.requests.error
        for name, value in self.observed.books().items():
            setattr(self.result, name, value)
        if self.result.error is not None:
            raise RankFailed

    def next(self) -> dict[str, Any]:
        """Return the next frame (one message) of the process. Raises WireError if the process has ended or is
        too late, and Unwound if another rank has failed.
        """
        while (frame := self.process.poll(LOOK)) is None:
            if self.engine.world.over:
                raise Unwound
            if time.monotonic() > self.deadline + GRACE:
                frame = problem("time", "still running after its time limit", self.process.busy_at())
                break
        if "kind" in frame and "call" not in frame:
            self.result = RankResult(error=frame)
            return {"rank": self.observed.comm.rank, "error": frame}
        if "rank" in frame:
            frame["rank"] = self.observed.comm.rank
        return frame
