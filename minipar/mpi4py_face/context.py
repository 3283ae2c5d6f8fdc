"""What a communicator's handles share, and what every call of one asks first."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from minipar.comm.diagnostics.call_site import caller
from minipar.comm.protocol import Communicator, Request, is_whole
from minipar.comm.refusals import no_such_rank
from minipar.comm.wrappers.base import Wrapper
from minipar.mpi4py_face.constants import ANY_SOURCE, ANY_TAG, LARGEST_TAG, PROC_NULL
from minipar.mpi4py_face.current import Rank, refuse_other_threads
from minipar.mpi4py_face.exceptions import wrong
from minipar.mpi4py_face.groups import Group
from minipar.mpi4py_face.handles import NoHandle


@dataclass(eq=False)
class Context:
    """One communicator. comm: the protocol's, with all its wrappers; engine: the innermost of them."""

    rank: Rank
    comm: Communicator
    name: str = ""
    predefined: bool = False
    attributes: dict[int, Any] = field(default_factory=dict)
    topology: Any = None
    info: dict[str, str] = field(default_factory=dict)
    # (source, tag) -> the last that found nothing
    probes: dict[tuple[int, int], Request] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.engine = self.comm
        while isinstance(self.engine, Wrapper):
            self.engine = self.engine.inner


class CommHandle(NoHandle):
    """The base of MPI.Comm: a reference to a context, or to nothing (COMM_NULL)."""

    _context: Context | None = None

    def _enter(self) -> Context:
        """Raises CommError or MPIError where no call of this communicator is allowed now."""
        context = self._context
        if context is None:
            raise wrong("ERR_COMM", "the communicator is COMM_NULL: this rank is not in it, or has freed it; "
                                    "guard the "
                        "call with `if comm != MPI.COMM_NULL`")
        rank = context.rank
        if rank.thread != threading.get_ident():
            refuse_other_threads(rank)
        if rank.finalized:
            operation, place = caller()
            raise wrong("ERR_OTHER", f"rank {rank.comm.rank}: {operation} at {place} comes after "
                                     "MPI.Finalize; "
                        "finalize last")
        return context


def check_peer(context: Context, peer: Any, wildcard: bool) -> None:
    """Raises MPIError unless `peer` is a rank, PROC_NULL or, where allowed, ANY_SOURCE."""
    if not is_whole(peer):
        raise TypeError(f"a rank is a whole number, not {peer!r}; divide with //")
    if not (0 <= peer < context.comm.size or peer == PROC_NULL or wildcard and peer == ANY_SOURCE):
        raise wrong("ERR_RANK", no_such_rank(context.comm, f"rank {peer}", peer))


def check_tag(tag: Any, wildcard: bool) -> None:
    if not is_whole(tag):
        raise TypeError(f"a tag is a whole number, not {tag!r}")
    if not (0 <= tag <= LARGEST_TAG or wildcard and tag == ANY_TAG):
        raise wrong("ERR_TAG", f"tag {tag}; use 0 to {LARGEST_TAG}")


def check_root(context: Context, root: Any) -> None:
    if not is_whole(root):
        raise TypeError(f"a root is a whole number, not {root!r}")
    if not 0 <= root < context.comm.size:
        raise wrong("ERR_ROOT", f"root {root}, but the group has ranks 0 to {context.comm.size - 1}")


def group_of(context: Context) -> Group:
    return Group.of(context.comm.members)
