"""The process that runs a student's code: it gets descriptions and arguments, and sends back what came out.

    worker threads OUT STACKS   all ranks of a call as threads; reads from descriptor 0, writes to OUT; where
                                the threads are when a call takes too long, goes to STACKS
    worker mpi FOLDER           one rank of a job under mpirun; reads and writes files of the folder

It knows no reference and reaches no verdict. Before the student's code is loaded, the fence is up.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.comm.threads.world import Unwound
from minipar.comm.wrappers.checking import Checking
from minipar.comm.wrappers.clock import Clock
from minipar.comm.wrappers.counting import Counting
from minipar.comm.wrappers.faults import Fault, Faults
from minipar.comm.wrappers.network import Network
from minipar.errors import CommError, MiniparError
from minipar.exercises import fence, printed, wire
from minipar.exercises.calls import caller_of

ALPHA, BETA = "0.00001", "0.000000001"  # of the virtual network: 10 us, 1 GB/s
DELAY = 0.004  # seconds by which an arrival is delayed
STUCK = ("deadlock", "the partner has left", "gave up after")
LEFT = "the program has ended, but"


class Calls:
    """Runs the calls of one submission on this process's ranks."""

    def __init__(self, about: Mapping[str, Any], out: BinaryIO) -> None:
        self.about, self.out, self.printed = about, out, printed.install()
        self.call: Any = None
        self.failed: dict[str, Any] | None = None
        self.lock = threading.Lock()

    def load(self) -> None:
        """Load the submission; what its top level raises is reported with every call."""
        try:
            self.call = caller_of(self.about)
        except BaseException as error:
            self.failed = described(error, self.about["path"])

    def on_rank(self, comm: Communicator, task: Mapping[str, Any]) -> None:
        """Run this rank's part of a call, and send what came of it. Raises what the submission raises."""
        self.printed.as_rank(comm.rank)
        arguments = task["arguments"][comm.rank]
        before = wire.pack(arguments)
        if self.about["comm"] == "mpi4py" and isinstance(comm, Checking):
            comm.compares = False                                   # the face compares collectives itself, in steps
        clock = (
            Clock(comm, Network(float(ALPHA), float(BETA)), flops_per_second=1e12)
            if task["clock"]
            else None
        )
        counting = Counting(disturbed(clock or comm, task["delays"]))
        found: dict[str, Any] = {"rank": comm.rank, "error": None, "outputs": None}
        try:
            if self.failed is not None:
                found["error"] = self.failed
                return
            if self.call is None:
                self.load()
            found["outputs"] = self.call(counting, arguments)
        except Unwound:
            found["error"] = {"kind": "stopped", "text": "", "where": "", "line": ""}
            raise
        except BaseException as error:
            found["error"] = described(error, self.about["path"])
            raise
        finally:
            total = counting.traffic.total()
            found.update(
                messages=total.messages,
                bytes=total.bytes,
                printed=self.printed.take(comm.rank),
                operations=sorted({key.op for key, _ in counting.traffic}),
                seconds=str(clock.now) if clock is not None else "",
                changed=wire.pack(arguments) != before,
            )
            self.send(found)

    def send(self, value: Any) -> None:
        with self.lock:
            self.out.write(wire.pack(value))
            self.out.flush()


def disturbed(comm: Communicator, seed: int) -> Communicator:
    """Delays some of this rank's sends, and its start, so that arrivals come in another order. 0: none."""
    if not seed:
        return comm
    random = np.random.default_rng([seed, comm.rank])
    time.sleep(DELAY * random.integers(3))
    late = [Fault("slow", nth=int(number), seconds=DELAY) for number in random.permutation(6)[:2]]
    return Faults(comm, *late)


def described(error: BaseException, path: str) -> dict[str, Any]:
    """What is told of an exception: its kind, its text, and the student's innermost line."""
    text = str(error)
    kind = "exception"
    if isinstance(error, NotImplementedError):
        kind = "stub"
    elif isinstance(error, SystemExit):
        kind, text = "exit", f"sys.exit({error.code!r})"
    elif isinstance(error, fence.Refused):
        kind = "refused"
    elif isinstance(error, MemoryError):
        kind = "memory"
    elif isinstance(error, CommError):
        kind = (
            "stuck" if any(word in text for word in STUCK) else "left" if text.startswith(LEFT) else "comm"
        )
    name = "" if isinstance(error, MiniparError | fence.Refused | SystemExit) else type(error).__name__
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    where = f"{os.path.basename(path)}:{frames[-1].lineno}" if frames else ""
    if isinstance(error, SyntaxError) and error.filename == path:
        where, text = f"{os.path.basename(path)}:{error.lineno}", error.msg
    return {
        "kind": kind,
        "text": f"{name}: {text}" if name and text else name or text,
        "where": where,
        "line": (frames[-1].line or "").strip() if frames else "",
    }


def serve_threads(tasks: BinaryIO, out: BinaryIO, dump: int) -> None:
    """Run each call on threads, and answer it with one frame per rank and one for the whole."""
    calls: Calls | None = None
    for task in frames(tasks):
        if "source" in task:
            calls = Calls(task, out)
            prepare(task)
            calls.load()
            calls.send({"ready": True})
            continue
        assert calls is not None
        faulthandler.dump_traceback_later(task["limit"] * 0.9, file=dump)
        problem = None
        try:
            run(task["ranks"], calls.on_rank, task, synchronous=task["synchronous"], timeout=task["limit"])
        except BaseException as error:
            problem = described(error, calls.about["path"])
        faulthandler.cancel_dump_traceback_later()
        alive = still_running(task["limit"] / 10)
        calls.send({"end": True, "error": problem, "spoilt": bool(alive)})


def serve_mpi(folder: str) -> None:
    """Run each call that has this rank as a member; results are files, since only rank 0 has a parent to
    write to.
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
        calls: Calls | None = None
        for task in frames(tasks):
            if "source" in task:
                if calls is None:
                    prepare(task, signals=True)
                calls = Calls(task, out)
                calls.load()
                sys.stdout, sys.stderr = console
                continue
            part = groups[task["ranks"]]
            if part is None or calls is None:
                continue
            engine: Any = part.inner  # type: ignore[attr-defined]
            part.barrier(label="start of the next call")
            engine.synchronous = task["synchronous"]
            engine.start_send = engine.intracomm.Issend if task["synchronous"] else engine.intracomm.Isend
            calls.send({"task": task["id"]})
            sys.stdout = sys.stderr = calls.printed
            try:
                calls.on_rank(part, task)
            finally:
                sys.stdout, sys.stderr = console  # what ends the job is told there


def still_running(seconds: float) -> list[threading.Thread]:
    """The threads beside this one that have not ended after so many seconds."""
    deadline = time.monotonic() + seconds
    others = [thread for thread in threading.enumerate() if thread is not threading.current_thread()]
    for thread in others:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [thread for thread in others if thread.is_alive()]


def prepare(about: Mapping[str, Any], signals: bool = False) -> None:
    """The fence, around all that follows. The student's own folder comes last on the path: for files of
    helpers.
    """
    sys.path.append(os.path.dirname(about["path"]))
    fence.limit(about["cpu"])
    fence.put_up(about["scratch"], about["secret"], signals)


def frames(file: BinaryIO) -> Iterator[Any]:
    while True:
        try:
            yield wire.read(file)
        except EOFError:
            return


def main(mode: str, *words: str) -> None:
    if mode == "threads":
        with os.fdopen(0, "rb", closefd=False) as tasks, os.fdopen(int(words[0]), "wb", closefd=False) as out:
            serve_threads(tasks, out, int(words[1]))
            os._exit(0)  # whatever threads the student has left
    else:
        serve_mpi(*words)


if __name__ == "__main__":
    main(*sys.argv[1:])
