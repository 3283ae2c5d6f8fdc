"""Runs a student's code in its own process. The process receives descriptions and arguments, and sends
results.

    worker threads OUT STACKS   runs all ranks of a call as threads
    worker rank OUT STACKS      runs one rank; its messages pass through the grader (see `broker.py`)
    worker mpi FOLDER           runs one rank of a job under mpirun, and reads and writes files of the folder

OUT and STACKS are file descriptors. The process reads from its standard input and writes to OUT. If a call
takes too long, STACKS receives the stacks of the threads. The process does not have the right results, and
computes no verdict. The fence (see `fence.py`) is installed before the student's code is loaded.
"""

from __future__ import annotations

import faulthandler
import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, BinaryIO

from minipar.comm.threads import run
from minipar.exercises import fence, no_input, unwritten, wire
from minipar.exercises.rank_calls import RankCalls, still_running
from minipar.exercises.remote import RemoteComm
from minipar.exercises.wrapping import NEXT_CALL, described


def serve_threads(tasks: BinaryIO, out: BinaryIO, dump: int) -> None:
    """Run each call on threads. Send one frame (packed value, see `wire`) per rank, and one for the whole
    call.
    """
    calls: RankCalls | None = None
    for task in frames(tasks):
        if "source" in task:
            if calls is None:
                prepare(task)
            calls = RankCalls(task, out)
            calls.load()
            calls.send({"ready": True})
            continue
        assert calls is not None
        faulthandler.dump_traceback_later(task["limit"] * 0.9, file=dump)
        problem = None
        try:
            run(task["ranks"], calls.observed, task, synchronous=task["synchronous"], timeout=task["limit"])
        except BaseException as error:
            problem = described(error, calls.about["path"])
        faulthandler.cancel_dump_traceback_later()
        alive = still_running(task["limit"] / 10)
        calls.send({"end": True, "error": problem, "spoilt": bool(alive)})


def serve_rank(tasks: BinaryIO, out: BinaryIO, dump: int) -> None:
    """Run one rank of each call. The rank's communicator sends its requests to the grader."""
    calls: RankCalls | None = None
    for task in frames(tasks):
        if "source" in task:
            prepare(task)
            calls = RankCalls(task, out)
            calls.load()
            calls.send({"ready": True})
            continue
        assert calls is not None
        send = calls.send

        def ask(frame: dict[str, Any]) -> dict[str, Any]:
            send(frame)                                             # noqa: B023 (one submission, one `send`)
            answer: dict[str, Any] = wire.read(tasks)
            return answer

        faulthandler.dump_traceback_later(task["limit"] * 0.9, file=dump)
        with suppress(BaseException):                               # the result reports the error
            calls.on_rank(RemoteComm(ask, task["group"]), task["arguments"], single_process=True,
                          memory=task["memory"])
        faulthandler.cancel_dump_traceback_later()


def serve_mpi(folder: str) -> None:
    """Run each call in which this rank takes part. Write the results to this rank's file.
    """
    from minipar.comm.job import job

    console = sys.stdout, sys.stderr
    with (
        job(timeout=60.0) as comm,
        open(os.path.join(folder, "tasks"), "rb") as tasks,
        open(os.path.join(folder, f"results.{comm.rank}"), "wb") as out,
    ):
        groups = {
            size: comm.subgroup(list(range(size)) if comm.rank < size else [], label="world")
            for size in range(1, comm.size + 1)
        }
        calls: RankCalls | None = None
        for task in frames(tasks):
            if "source" in task:
                if calls is None:
                    prepare(task, job=True)
                calls = RankCalls(task, out)
                calls.load()
                sys.stdout, sys.stderr = console
                continue
            part = groups[task["ranks"]]
            if part is None or calls is None:
                continue
            engine: Any = part.inner  # type: ignore[attr-defined]
            engine.barrier(label=NEXT_CALL)  # this barrier is not checked: a missing rank is a deadlock
            engine.synchronous = task["synchronous"]
            engine.start_send = engine.intracomm.Issend if task["synchronous"] else engine.intracomm.Isend
            calls.send({"task": task["id"]})
            sys.stdout = sys.stderr = calls.printed
            try:
                calls.observed(part, task)
            finally:
                sys.stdout, sys.stderr = console  # an error that ends the job is printed here


def prepare(about: Mapping[str, Any], job: bool = False) -> None:
    """Prepare this process before the student's code is loaded: mark new arrays (see `unwritten`), close the
    standard input (see `no_input`) and install the fence. The student's folder is added at the end of
    sys.path, so that the code can import its own files. With the fence, Python cannot write bytecode files,
    so this is switched off.
    """
    if about["comm"] == "mpi4py":
        importlib.import_module("minipar.exercises.mpi4py_calls")
    sys.dont_write_bytecode = True
    sys.path.append(os.path.dirname(about["path"]))
    unwritten.install()
    no_input.install()
    fence.limit(about["cpu"], about["memory"])
    fence.put_up(about["scratch"], about["secret"], job)


def frames(file: BinaryIO) -> Iterator[Any]:
    while True:
        try:
            yield wire.read(file)
        except EOFError:
            return


def main(mode: str, *words: str) -> None:
    if mode in ("threads", "rank"):
        serve = serve_threads if mode == "threads" else serve_rank
        tasks = os.fdopen(no_input.take_descriptor(), "rb")
        with tasks, os.fdopen(int(words[0]), "wb", closefd=False) as out:
            out.write(wire.pack({"up": True}))                      # the grader starts to measure time here
            out.flush()
            serve(tasks, out, int(words[1]))
            os._exit(0)                                             # this also ends the student's threads
    else:
        serve_mpi(*words)


if __name__ == "__main__":
    main(*sys.argv[1:])
