"""Runs the calls of several submissions in one job of a real mpirun."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from minipar.comm.children import isolated
from minipar.comm.held_signals import child_process, temporary_folder
from minipar.exercises import wire
from minipar.exercises.exercise import Exercise
from minipar.exercises.fence import SCRATCH
from minipar.exercises.runner import Submission, description, told
from minipar.exercises.tasks import CallResult, GradedCall
from minipar.exercises.worker_process import environment, rank_result
from minipar.launcher.launch import find_launcher, job_ender, launch_command

START = 120.0                                                       # time limit for the start, in seconds
PER_RANK = 0.5  # seconds that are added per rank of each call
ENDING = 10.0  # seconds that a job may take to end
LATE = "still running after"  # in the output if the time limit ended the job


def mpi_missing() -> str:
    """Return "" if mpirun can be used on this machine, else the reason."""
    if find_launcher(environment()["PATH"]) is None:
        return "there is no mpirun on this machine; install one with: pip install mpi4py mpich"
    return ""


def under_mpirun(work: Sequence[tuple[Exercise, Submission, Sequence[GradedCall]]],
                 ranks: int) -> tuple[list[list[CallResult]], str]:
    """Run the calls of several submissions in one job of `ranks` ranks. A call with fewer ranks uses the
    first ranks of the job.

    work: one (exercise, submission, calls) per submission. Returns one list of results per submission, and
    the job's stderr. If the job ends early, later calls have no results.
    """
    with temporary_folder(SCRATCH) as scratch:
        flat: list[tuple[int, GradedCall]] = []
        with open(Path(scratch, "tasks"), "wb") as file:
            for owner, (exercise, submission, calls) in enumerate(work):
                about = description(exercise, submission, scratch, exercise.seconds, cpu=60 + 20 * len(work))
                file.write(wire.pack(about))
                for call in calls:
                    file.write(wire.pack({**told(call, exercise.seconds), "id": len(flat)}))
                    flat.append((owner, call))
        said = _job(scratch, ranks, START + sum(PER_RANK * call.ranks for _, call in flat))
        found = [CallResult(call, [None] * call.ranks) for _, call in flat]
        for rank in range(ranks):
            _collect(Path(scratch, f"results.{rank}"), found)
    results: list[list[CallResult]] = [[] for _ in work]
    for (owner, _), result in zip(flat, found, strict=True):
        if any(result.ranks):
            results[owner].append(result)
    return results, said


def _job(scratch: str, ranks: int, limit: float) -> str:
    """Run the job to its end, at most `limit` seconds. Returns its stderr."""
    around = environment()
    launcher = find_launcher(around["PATH"])
    assert launcher is not None
    worker = isolated("minipar.exercises.worker", "mpi", scratch)
    line = launch_command(launcher, ranks, worker, root=os.geteuid() == 0)
    # the job has its own session, so Ctrl-C and a signal to this process do not reach it
    with child_process(line, job_ender(), env=around, cwd=scratch, start_new_session=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                       encoding="utf-8", errors="backslashreplace") as job:
        try:
            said: str = job.communicate(timeout=limit)[1]
        except subprocess.TimeoutExpired:
            said = _ended(job) + f"\n{LATE} {limit:.0f} s"
    return said


def _ended(job: subprocess.Popen[str]) -> str:
    """End a job, and return its stderr. After SIGTERM, the launchers of MPICH and Open MPI end the ranks. A
    job that ignores SIGTERM is killed, and its stderr is lost if a rank keeps the pipe open.
    """
    job.terminate()
    for _ in range(2):
        with suppress(subprocess.TimeoutExpired):
            return job.communicate(timeout=ENDING)[1]
        os.killpg(job.pid, signal.SIGKILL)
    assert job.stderr is not None
    job.stderr.close()
    return ""


def _collect(path: Path, found: list[CallResult]) -> None:
    """Read the file of one rank's results, and store each result in `found`, which has one entry per call."""
    now = -1
    with suppress(EOFError, wire.WireError, OSError), open(path, "rb") as file:
        while True:
            frame = wire.read(file)
            if "task" in frame:
                now = frame["task"]
            else:
                rank, result = rank_result(frame, found[now].call.ranks)
                found[now].ranks[rank] = result
