"""Runs calls of one submission on the ranks of this process, and sends the results to the grader."""

from __future__ import annotations

import _thread
import threading
import time
import tracemalloc
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from minipar.comm.protocol import Communicator
from minipar.comm.threads.world import Unwound
from minipar.exercises import printed, wire
from minipar.exercises.calls import caller_of
from minipar.exercises.submission_error import SubmissionError
from minipar.exercises.wrapping import Observed, described

LINGER = 0.2  # seconds that a thread may run after a call


class RankCalls:
    """Runs the calls of one submission. about: the description of the exercise (see `runner.description`).
    out: the stream to which the results are written.
    """

    def __init__(self, about: Mapping[str, Any], out: BinaryIO) -> None:
        self.about, self.out, self.printed = about, out, printed.install()
        self.call: Any = None
        self.failed: dict[str, Any] | None = None
        self.lock = threading.Lock()

    def load(self) -> None:
        """Load the submission. If loading fails, every later call reports the error."""
        try:
            self.call = caller_of(self.about)
        except BaseException as error:
            self.failed = described(error, self.about["path"])

    def observed(self, comm: Communicator, task: Mapping[str, Any]) -> None:
        """Run this rank's part of a call, and count its messages. Raises the errors of the submission.
        """
        one = Observed(comm, task, self.about["comm"] == "mpi4py", self.about["source"],
                       self.about["collectives"])
        self.on_rank(one.comm, task["arguments"][comm.rank], one, memory=task["memory"])

    def on_rank(self, comm: Communicator, arguments: Any, observer: Observed | None = None,
                single_process: bool = False, memory: bool = False) -> None:
        """Call the submission, and send the result. Raises the errors of the submission.

        single_process: true if this process runs only one rank. Then it is an error if a thread still runs
        after the call. memory: if true, measure the peak of the allocated bytes.
        """
        self.printed.as_rank(comm.rank)
        before = [wire.pack(one) for one in arguments]
        found: dict[str, Any] = {"rank": comm.rank, "error": self.failed, "outputs": None}
        try:
            if self.failed is None:
                if memory:
                    outputs, found["memory"] = with_peak(lambda: self.call(comm, arguments))
                else:
                    outputs = self.call(comm, arguments)
                found["outputs"] = returned(outputs)
        except Unwound:
            found["error"] = {"kind": "stopped", "text": "", "where": "", "line": ""}
            raise
        except BaseException as error:
            found["error"] = described(error, self.about["path"])
            raise
        finally:
            if single_process and found["error"] is None and still_running(LINGER):
                found["error"] = thread_left()
            found.update(observer.books() if observer else {}, printed=self.printed.take(comm.rank),
                         changed=[number for number, one in enumerate(arguments)
                                  if wire.pack(one) != before[number]])
            self.send(found)

    def send(self, value: Any) -> None:
        """Write one frame (a packed value, see `wire`). Several threads may call this method."""
        with self.lock:
            self.out.write(wire.pack(value))
            self.out.flush()


def with_peak(call: Callable[[], Any]) -> tuple[Any, int]:
    """Call, and return the result and the largest number of bytes that the call has allocated at one time.

    Memory that earlier calls have allocated does not count. Raises the errors of the call.
    """
    tracemalloc.start()
    try:
        return call(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def returned(outputs: Any) -> Any:
    """Return the outputs as plain values, which no code of the submission can change any more. Raises
    SubmissionError if they are too large to be sent.
    """
    try:
        return wire.plain_copy(outputs)
    except wire.WireError as error:
        raise SubmissionError(f"the result cannot be sent to the grader: {error}") from error


def still_running(seconds: float) -> list[threading.Thread | None]:
    """Wait until the other threads have ended, at most `seconds`. Return the threads that still run. A thread
    of the module _thread, which `threading` does not list, counts as well: then the list holds None.
    """
    deadline = time.monotonic() + seconds
    others = [thread for thread in threading.enumerate() if thread is not threading.current_thread()]
    for thread in others:
        thread.join(max(0.0, deadline - time.monotonic()))
    alive: list[threading.Thread | None] = [thread for thread in others if thread.is_alive()]
    while _thread._count() > len(alive) and time.monotonic() < deadline:
        time.sleep(LINGER / 20)
    return alive + [None] * (_thread._count() - len(alive))


def thread_left() -> dict[str, Any]:
    return {"kind": "exception", "text": "a thread still runs when the call has ended", "where": "",
            "line": ""}
