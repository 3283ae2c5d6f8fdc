"""Controls the student's process for the grader: sends and receives frames, each with a time limit.

A frame is one packed value (see `minipar.exercises.wire`). The process is not trusted. If it sends an invalid
frame, the grader treats it as ended. `end` kills the process and all processes in its group.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from minipar.comm.children import isolated
from minipar.exercises import wire
from minipar.exercises.tasks import RankResult
from minipar.launcher.launch import rank_environment

START = 60.0                                                        # time limit for the start, in seconds
MOST_RECEIVED = 1 << 29                                             # bytes of all frames of a submission
NO_FRAME = "the process sent an invalid result"


class WorkerProcess:
    """A running process of `minipar.exercises.worker`.

    mode: the worker's mode, "threads" or "rank". scratch: the current folder of the process, and the only one
    to which it can write. path: the file of the submission.
    """

    def __init__(self, mode: str, scratch: str, path: Path) -> None:
        read, write = os.pipe()
        stacks, dump = os.pipe()
        self.process = subprocess.Popen(
            isolated("minipar.exercises.worker", mode, str(write), str(dump)), stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=scratch, env=environment(),
            start_new_session=True, pass_fds=(write, dump))
        os.close(write)
        os.close(dump)
        assert self.process.stdin is not None
        self.path, self.read, self.stacks, self.buffer, self.up = path, read, stacks, bytearray(), False
        self.write, self.received = self.process.stdin.fileno(), 0
        os.set_blocking(stacks, False)
        os.set_blocking(self.write, False)

    def load(self, about: dict[str, Any], seconds: float) -> dict[str, Any] | None:
        """Make the process load a submission. Return None, or a problem if this fails or takes more than
        `seconds`.
        """
        if not self.up and (frame := self.next(START)) != {"up": True}:
            return frame if "kind" in frame else problem("died", NO_FRAME)
        self.up, self.path, self.received = True, Path(about["path"]), 0
        self.send(about)
        ready = self.next(seconds)
        return None if ready == {"ready": True} else ready if "kind" in ready else problem("died", NO_FRAME)

    def send(self, value: Any, seconds: float = 10.0) -> None:
        """Send a value as one frame. If the process does not read the frame in time, no error is raised.

        In this case, the following call of `next` reports the problem.
        """
        data, deadline = memoryview(wire.pack(value)), time.monotonic() + seconds
        with suppress(BrokenPipeError):
            while data and select.select([], [self.write], [], max(0.0, deadline - time.monotonic()))[1]:
                data = data[os.write(self.write, data):]

    def next(self, seconds: float) -> dict[str, Any]:
        """Return the next frame. Return a problem (see `problem`) if no frame arrives within `seconds`, or if
        the process has ended.
        """
        deadline = time.monotonic() + seconds
        while (frame := self.poll(deadline - time.monotonic())) is None:
            if time.monotonic() >= deadline:
                return problem("time", f"still running after {seconds:.1f} s", self.busy_at())
        return frame

    def poll(self, seconds: float) -> dict[str, Any] | None:
        """Return the next frame, or None if none arrives within `seconds`. Return a problem if the process
        has ended.
        """
        deadline = time.monotonic() + seconds
        try:
            while (frame := self._frame()) is None:
                left = max(0.0, deadline - time.monotonic())
                if not select.select([self.read], [], [], left)[0]:
                    return None
                if not (got := os.read(self.read, 1 << 20)):
                    return problem("died", self.how_it_ended())
                self.buffer += got
                self.received += len(got)
                if self.received > MOST_RECEIVED:
                    raise wire.WireError("too many bytes")
        except wire.WireError:
            return problem("died", NO_FRAME)
        return frame if isinstance(frame, dict) else problem("died", NO_FRAME)

    def _frame(self) -> Any:
        """Remove the first frame from the buffer and return its value. Return None if the frame is
        incomplete.
        """
        head = wire.HEAD.size
        if len(self.buffer) < head:
            return None
        text, data = wire.HEAD.unpack(self.buffer[:head])
        wire.check_sizes(text, data)
        if len(self.buffer) < head + text + data:
            return None
        end = head + text
        frame = wire.unpack(bytes(self.buffer[head:end]), bytes(self.buffer[end:end + data]))
        del self.buffer[:head + text + data]
        return frame

    def how_it_ended(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            status = self.process.wait(2.0)
            if status < 0:
                return f"the process was ended by signal {signal_name(-status)}"
            return f"the process has ended with os._exit({status})"
        return "the process closed its pipe"

    def busy_at(self) -> str:
        """Return the line of the student's file that runs at this time, such as "ring.py:14". It is "" if
        unknown.
        """
        with suppress(OSError):                                     # the stacks come from faulthandler
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


def signal_name(number: int) -> str:
    """Return the name of a signal, or its number: most real-time signals have no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def environment() -> dict[str, str]:
    return {**rank_environment(os.environ), "MPLBACKEND": "Agg"}


def problem(kind: str, text: str, where: str = "") -> dict[str, Any]:
    """Return an error as a dict, which the grader reports. If the kind is "died" or "time", the process
    cannot be used any more.
    """
    return {"kind": kind, "text": text, "where": where, "line": ""}


def rank_result(frame: dict[str, Any], ranks: int) -> tuple[int, RankResult]:
    """Return the rank and the result in a frame. ranks: the number of ranks. Raises WireError for an invalid
    frame.
    """
    rank, error = frame.get("rank"), frame.get("error")
    if type(rank) is not int or not 0 <= rank < ranks:
        raise wire.WireError("invalid rank")
    words = ("kind", "text", "where", "line")
    if error is not None and not (isinstance(error, dict)
                                  and all(isinstance(error.get(name), str) for name in words)):
        raise wire.WireError("invalid error")
    found = RankResult(frame.get("outputs"), error)
    kinds = {"printed": str, "messages": int, "bytes": int, "peers": list, "seconds": str, "memory": int,
             "changed": list}
    for name, kind in kinds.items():
        value = frame.get(name, getattr(found, name))
        if type(value) is not kind or (isinstance(value, list)
                                       and not all(type(one) is int and one >= 0 for one in value)):
            raise wire.WireError(f"invalid {name}")
        setattr(found, name, value)
    return rank, found
