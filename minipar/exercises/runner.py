"""Starts the process that runs a student's code, feeds it calls, and ends it when it takes too long.

Nothing that comes back is believed: a frame that is none counts as the death of the process, and a process
that
dies or hangs costs its own call. The whole process group is ended, so nothing stays behind.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minipar.comm.children import isolated
from minipar.exercises import wire
from minipar.exercises.catalogue import exercises_folder
from minipar.exercises.exercise import Exercise
from minipar.exercises.tasks import CallResult, GradedCall, RankResult
from minipar.launcher.launch import find_launcher, launch_command, rank_environment

START = 30.0  # seconds for a process to load, on a busy machine
MPI_START = 20.0
GRACE = 1.0  # seconds beyond a call's limit


@dataclass(frozen=True)
class Submission:
    """A student's file. source: its text, which the grader has read and the worker executes."""

    path: Path
    source: str

    @property
    def name(self) -> str:
        return self.path.name


def description(exercise: Exercise, submission: Submission, scratch: str, limit: float) -> dict[str, Any]:
    """What the worker must know of an exercise: how to call, never what is right."""
    return {
        "path": str(submission.path.resolve()),
        "source": submission.source,
        "driver": exercise.driver(),
        "kind": exercise.kind,
        "function": exercise.function,
        "comm": exercise.comm,
        "program": exercise.program,
        "scratch": scratch,
        "secret": [str(exercises_folder()), str(exercise.folder.resolve())],
        "cpu": 60 + 10 * limit,
    }


def told(call: GradedCall, limit: float) -> dict[str, Any]:
    return {
        "id": call.number,
        "ranks": call.ranks,
        "arguments": call.arguments,
        "synchronous": call.synchronous,
        "delays": call.delays,
        "clock": call.clock,
        "limit": limit,
    }


def on_threads(
    exercise: Exercise, submission: Submission, calls: Sequence[GradedCall], *, limit: float | None = None
) -> Iterator[CallResult]:
    """The results of the calls, each as soon as it is there. After a call that had to be stopped, no more
    come.
    """
    seconds = limit or exercise.seconds
    with tempfile.TemporaryDirectory(prefix="minipar-") as scratch:
        worker = Worker(scratch, submission.path)
        try:
            worker.send(description(exercise, submission, scratch, seconds))
            dead = worker.next(START)
            if "ready" not in dead:
                yield CallResult(calls[0], [None] * calls[0].ranks, dead)
                return
            for call in calls:
                result = worker.run(call, seconds)
                yield result
                if result.error is not None and result.error["kind"] in ("died", "time"):
                    return
        finally:
            worker.end()


class Worker:
    """A process that runs calls on threads."""

    def __init__(self, scratch: str, path: Path) -> None:
        read, write = os.pipe()
        stacks, dump = os.pipe()
        code = isolated("minipar.exercises.worker", "threads", str(write), str(dump))
        environment = {**rank_environment(os.environ), "PYTHONDONTWRITEBYTECODE": "1", "MPLBACKEND": "Agg"}
        self.process = subprocess.Popen(
            code,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=scratch,
            env=environment,
            start_new_session=True,
            pass_fds=(write, dump),
        )
        os.close(write)
        os.close(dump)
        self.path, self.read, self.stacks, self.buffer = path, read, stacks, b""
        os.set_blocking(stacks, False)

    def send(self, value: Any) -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write(wire.pack(value))
            self.process.stdin.flush()

    def run(self, call: GradedCall, limit: float) -> CallResult:
        """The result of one call; its `error` is of kind "died" or "time" where the process is of no more
        use.
        """
        result = CallResult(call, [None] * call.ranks)
        self.send(told(call, limit))
        deadline = time.monotonic() + limit + GRACE
        while True:
            frame = self.next(deadline - time.monotonic())
            if frame.get("end") is True:
                result.error = frame["error"]
                if frame["spoilt"] and not result.errors():
                    result.error = {
                        "kind": "exception",
                        "text": "a thread is still running when all ranks have ended",
                        "where": "",
                        "line": "",
                    }
                if frame["spoilt"] and result.error is not None:
                    result.error = {**result.error, "kind": "time"}
                return result
            if "kind" in frame:
                result.error = frame
                return result
            rank, known = (
                frame.get("rank"),
                {name: frame[name] for name in RankResult.__dataclass_fields__ if name in frame},
            )
            if not isinstance(rank, int) or not 0 <= rank < call.ranks:
                result.error = problem("died", "the process sent what is no result")
                return result
            result.ranks[rank] = RankResult(**known)

    def next(self, seconds: float) -> dict[str, Any]:
        """The next frame; a problem where none comes in time, or the process has ended."""
        deadline = time.monotonic() + seconds
        try:
            while True:
                if len(self.buffer) >= wire.HEAD.size:
                    text, data = wire.HEAD.unpack(self.buffer[: wire.HEAD.size])
                    wire.check_sizes(text, data)
                    middle = wire.HEAD.size + text
                    if len(self.buffer) >= middle + data:
                        frame = wire.unpack(
                            self.buffer[wire.HEAD.size : middle], self.buffer[middle : middle + data]
                        )
                        self.buffer = self.buffer[middle + data :]
                        return (
                            frame
                            if isinstance(frame, dict)
                            else problem("died", "the process sent what is no result")
                        )
                left = deadline - time.monotonic()
                if left <= 0 or not select.select([self.read], [], [], left)[0]:
                    return problem("time", f"still running after {seconds:.1f} s", self.busy_at())
                got = os.read(self.read, 1 << 20)
                if not got:
                    return problem("died", self.how_it_ended())
                self.buffer += got
        except wire.WireError:
            return problem("died", "the process sent what is no result")

    def how_it_ended(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            status = self.process.wait(2.0)
            if status < 0:
                return f"the process was ended by signal {signal.Signals(-status).name}"
            return f"the process has ended with os._exit({status})"
        return "the process closed its pipe"

    def busy_at(self) -> str:
        """The student's line at which a rank was, by the stacks that faulthandler has written."""
        with suppress(OSError):
            text = os.read(self.stacks, 1 << 16).decode(errors="replace")
            for path, line in re.findall(r'File "(.*?)", line (\d+)', text):
                if path == str(self.path.resolve()):
                    return f"{self.path.name}:{line}"
        return ""

    def end(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.read)
        os.close(self.stacks)
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()


def problem(kind: str, text: str, where: str = "") -> dict[str, Any]:
    return {"kind": kind, "text": text, "where": where, "line": ""}


def mpi_missing() -> str:
    """Why no job can be started under mpirun here, "" if it can."""
    if find_launcher(rank_environment(os.environ)["PATH"]) is None:
        return "no mpirun here: install mpi4py and mpich with pip"
    return ""


def under_mpirun(
    work: Sequence[tuple[Exercise, Submission, Sequence[GradedCall]]],
    ranks: int,
    *,
    limit: float = MPI_START,
) -> tuple[list[list[CallResult]], str]:
    """Run the calls of several submissions in one job of so many ranks.

    Returns the results of each submission, as far as the job came, and what the job said on its stderr.
    """
    with tempfile.TemporaryDirectory(prefix="minipar-") as scratch:
        flat: list[tuple[int, GradedCall]] = []
        with open(Path(scratch, "tasks"), "wb") as file:
            for owner, (exercise, submission, calls) in enumerate(work):
                file.write(wire.pack(description(exercise, submission, scratch, exercise.seconds)))
                for call in calls:
                    file.write(wire.pack({**told(call, exercise.seconds), "id": len(flat)}))
                    flat.append((owner, call))
        said = _job(scratch, ranks, limit + sum(0.1 * call.ranks for _, call in flat))
        found = [CallResult(call, [None] * call.ranks) for _, call in flat]
        for rank in range(ranks):
            _collect(Path(scratch, f"results.{rank}"), rank, found)
    results: list[list[CallResult]] = [[] for _ in work]
    for (owner, _), result in zip(flat, found, strict=True):
        if any(result.ranks):
            results[owner].append(result)
    return results, said


def _job(scratch: str, ranks: int, limit: float) -> str:
    """Runs the job to its end; returns what it said."""
    environment = {**rank_environment(os.environ), "PYTHONDONTWRITEBYTECODE": "1", "MPLBACKEND": "Agg"}
    launcher = find_launcher(environment["PATH"])
    assert launcher is not None
    line = launch_command(
        launcher, ranks, isolated("minipar.exercises.worker", "mpi", scratch), root=os.geteuid() == 0
    )
    job = subprocess.Popen(
        line,
        env=environment,
        cwd=scratch,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        return job.communicate(timeout=limit)[1]
    except subprocess.TimeoutExpired:
        job.terminate()  # both launchers end their ranks
        return job.communicate()[1] + f"\nstopped: still running after {limit:.0f} s"


def _collect(path: Path, rank: int, found: list[CallResult]) -> None:
    """Enter one rank's results."""
    now = -1
    with suppress(EOFError, wire.WireError, OSError), open(path, "rb") as file:
        while True:
            frame = wire.read(file)
            if "task" in frame:
                now = frame["task"]
            else:
                known = {name: frame[name] for name in RankResult.__dataclass_fields__ if name in frame}
                found[now].ranks[rank] = RankResult(**known)
