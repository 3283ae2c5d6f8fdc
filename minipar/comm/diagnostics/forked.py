"""Refuses calls of a child process that os.fork or multiprocessing has made from a rank.

The child has a copy of the rank's communicator. With this copy it could send and receive messages in the name
of the rank.
"""

from __future__ import annotations

import os
from typing import Any
from weakref import WeakSet

from minipar.comm.diagnostics.call_site import wrong_call
from minipar.comm.protocol import Communicator
from minipar.errors import CommError

CHILD = 0  # no thread has this number
_communicators: WeakSet[Any] = WeakSet()


def refuse_after_fork(comm: Any) -> None:
    """After a fork, set comm.thread to CHILD in the child process."""
    _communicators.add(comm)


def _in_child() -> None:
    for comm in _communicators:
        comm.thread = CHILD


def forked(comm: Communicator, call: str, label: str) -> CommError:
    """Returns the error for a call of a child process."""
    return wrong_call(comm, label, call, "is called in a child process that os.fork or multiprocessing has "
                      "made; only the rank itself can communicate, so give it the results through a pipe "
                      "or a queue", kind="forked")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
