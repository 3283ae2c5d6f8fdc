"""Wraps the communicator of a graded call, and describes exceptions. The worker and the broker use this
module.
"""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Mapping
from typing import Any

import numpy as np

from minipar.comm.protocol import Communicator
from minipar.comm.wrappers.base import Wrapper
from minipar.comm.wrappers.checking import Checking
from minipar.comm.wrappers.clock import Clock
from minipar.comm.wrappers.counting import Counting
from minipar.comm.wrappers.faults import Fault, Faults
from minipar.comm.wrappers.network import Network
from minipar.errors import CommError, MiniparError
from minipar.exercises.fence import Refused
from minipar.exercises.split_order import SplitOrder
from minipar.exercises.submission_error import SubmissionError

NETWORK = Network(alpha=1e-5, beta=1e-9)                            # simulated: 10 us per message, 1 GB/s
DELAY = 0.004                                                       # seconds by which a message is delayed
# texts of errors about waiting; texts of errors about messages that are left
STUCK = ("deadlock", "the partner has left", "timed out after")
LEFT = "the program has ended, but"
NEXT_CALL = "start of the next call"                                # label of the barrier between two calls


class Observed:
    """One rank's communicator in a call. It counts messages, and has a virtual clock or delays if the call
    asks for them.

    task: the description of the call. face: true if the student's code uses mpi4py's methods. Their
    implementation compares the collectives of the ranks, so `comm` need not compare them. source: the text
    of the student's file. collectives: true if the exercise allows the collectives of minipar.
    """

    def __init__(self, comm: Communicator, task: Mapping[str, Any], face: bool, source: str,
                 collectives: bool = True) -> None:
        if face and isinstance(comm, Checking):
            comm.compares = False
        comm = SplitOrder(comm, source.splitlines())
        if not collectives:
            comm = NoCollectives(comm)
        self.clock = Clock(comm, NETWORK, flops_per_second=1e12) if task["clock"] else None
        self.comm = Counting(disturbed(self.clock or comm, task["delays"]))

    def books(self) -> dict[str, Any]:
        """Return the numbers of messages and bytes that this rank has sent, the ranks to which it has sent
        them, and its virtual time.
        """
        total = self.comm.traffic.total()
        peers = sorted(int(dest) for dest, in self.comm.traffic.by("dest") if int(dest) >= 0)
        return {"messages": total.messages, "bytes": total.bytes, "peers": peers,
                "seconds": "" if self.clock is None else str(self.clock.now)}


class NoCollectives(Wrapper):
    """A communicator that raises an error in every collective of the library, except in barriers."""

    def entering(self, op: str, shape: tuple[int, ...] | None, dtype: np.dtype[Any] | None,
                 *, label: str | None = None, **agreed: Any) -> int:
        if op != "barrier":
            raise CommError(f"{op.split()[0]} is a collective of the library, which this exercise forbids")
        return super().entering(op, shape, dtype, label=label, **agreed)


def disturbed(comm: Communicator, seed: int) -> Communicator:
    """Delay the start of this rank, and return a communicator that delays some sends. So messages arrive in
    another order. With seed 0 nothing is delayed.
    """
    if not seed:
        return comm
    random = np.random.default_rng([seed, comm.rank])
    time.sleep(DELAY * random.integers(3))
    late = [Fault("slow", nth=int(number), seconds=DELAY) for number in random.permutation(6)[:2]]
    return Faults(comm, *late)


def described(error: BaseException, path: str) -> dict[str, Any]:
    """Describe an exception as a dict: its kind, its text, and the line of the student's file that raised it.
    path: the student's file.
    """
    text = str(error)
    kind = "exception"
    if isinstance(error, NotImplementedError):
        kind = "stub"
    elif isinstance(error, SystemExit):
        kind, text = "exit", f"sys.exit({error.code!r})"
    elif isinstance(error, Refused):
        kind = "refused"
    elif isinstance(error, MemoryError):
        kind = "memory"
    elif isinstance(error, CommError):
        kind = kind_of(text)
    told = isinstance(error, MiniparError | Refused | SystemExit | SubmissionError) or kind == "stub"
    name = "" if told else type(error).__name__
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    where = f"{os.path.basename(path)}:{frames[-1].lineno}" if frames else ""
    if isinstance(error, SyntaxError) and error.filename == path:
        where, text = f"{os.path.basename(path)}:{error.lineno}", error.msg
    return {"kind": kind, "text": f"{name}: {text}" if name and text else name or text, "where": where,
            "line": (frames[-1].line or "").strip() if frames else ""}


def kind_of(text: str) -> str:
    """Return the kind of a CommError: "stuck", "left" or "comm". It is found from the text of the error."""
    if any(word in text for word in STUCK):
        return "stuck"
    return "left" if text.startswith(LEFT) else "comm"
