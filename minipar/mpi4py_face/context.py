"""Holds the data of a communicator, and checks every call at its start."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import get_ident
from typing import Any

from minipar.comm.diagnostics.call_site import caller
from minipar.comm.protocol import Communicator, Request
from minipar.comm.refusals import no_such_rank
from minipar.comm.wrappers.base import Wrapper
from minipar.mpi4py_face.constants import ANY_SOURCE, ANY_TAG, LARGEST_TAG, PROC_NULL
from minipar.mpi4py_face.current import Rank, refuse_other_threads
from minipar.mpi4py_face.exceptions import wrong
from minipar.mpi4py_face.groups import Group
from minipar.mpi4py_face.handles import NoHandle
from minipar.mpi4py_face.whole_numbers import whole


@dataclass(eq=False)
class Context:
    """The data of one MPI.Comm. comm: the `Communicator` of minipar, with all wrappers. engine: the innermost
    `Communicator`, without wrappers.
    """

    rank: Rank
    comm: Communicator
    name: str = ""
    predefined: bool = False
    attributes: dict[int, Any] = field(default_factory=dict)
    topology: Any = None
    info: dict[str, str] = field(default_factory=dict)
    # (source, tag) -> the request of the last failed probe
    probes: dict[tuple[int, int], Request] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.engine = self.comm
        while isinstance(self.engine, Wrapper):
            self.engine = self.engine.inner


class CommHandle(NoHandle):
    """The base class of MPI.Comm. `_context` holds its data. It is None for COMM_NULL."""

    _context: Context | None = None

    def _enter(self) -> Context:
        """Returns the context. Every call begins with this method. It raises MPIError for COMM_NULL, and
        after a call of Finalize. It raises CommError in any thread except the rank's own thread.
        """
        context = self._context
        if context is None:
            raise wrong("ERR_COMM", "the communicator is COMM_NULL: this rank is not in it, or has freed it; "
                                    "guard the "
                        "call with `if comm != MPI.COMM_NULL`")
        rank = context.rank
        if rank.thread != get_ident():
            refuse_other_threads(rank)
        if rank.finalized:
            operation, location = caller()
            raise wrong("ERR_OTHER", f"rank {rank.comm.rank}: {operation} at {location} comes after "
                                     "MPI.Finalize; "
                        "finalize last")
        return context


def check_peer(context: Context, peer: Any, wildcard: bool) -> int:
    """Returns the rank. Raises MPIError unless it is a rank of the group or PROC_NULL. With wildcard,
    ANY_SOURCE is also allowed.
    """
    if type(peer) is int and 0 <= peer < context.comm.size:         # the usual case comes first
        return peer
    rank = whole(peer, "rank")
    if not (0 <= rank < context.comm.size or rank == PROC_NULL or wildcard and rank == ANY_SOURCE):
        raise wrong("ERR_RANK", no_such_rank(context.comm, f"rank {rank}", rank))
    return rank


def check_tag(tag: Any, wildcard: bool) -> int:
    number = tag if type(tag) is int else whole(tag, "tag")
    if not (0 <= number <= LARGEST_TAG or wildcard and number == ANY_TAG):
        raise wrong("ERR_TAG", f"tag {tag}; use 0 to {LARGEST_TAG}")
    return number


def check_root(context: Context, root: Any) -> int:
    number = whole(root, "root")
    if not 0 <= number < context.comm.size:
        raise wrong("ERR_ROOT", f"root {root}, but the group has ranks 0 to {context.comm.size - 1}")
    return number


def group_of(context: Context) -> Group:
    return Group.of(context.comm.members)
