"""MPI.Win: memory that all ranks of a node can read and write (Allocate_shared). minipar does not offer
one-sided messages (Put, Get).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minipar.mpi4py_face import constants as c
from minipar.mpi4py_face.communicators import Comm
from minipar.mpi4py_face.current import current
from minipar.mpi4py_face.exceptions import wrong
from minipar.mpi4py_face.groups import Group
from minipar.mpi4py_face.handles import NoHandle
from minipar.mpi4py_face.memory import RawMemory
from minipar.mpi4py_face.refused import ONE_SIDED, not_offered


class Win(NoHandle):
    """A window: shared memory with a part for each rank. Win() is WIN_NULL."""

    def __new__(cls, win: Win | None = None) -> Win:
        new = super().__new__(cls)
        if win is None:
            new._parts, new._comm, new._unit = None, None, 1
        else:
            new._parts, new._comm, new._unit = win._parts, win._comm, win._unit
        return new

    _parts: list[tuple[np.ndarray, int]] | None  # one entry per rank: its memory, and its unit in bytes
    _comm: Comm | None
    _unit: int

    @classmethod
    def Allocate_shared(cls, size: int, disp_unit: int = 1, info: Any = None, comm: Any = None) -> Win:
        """Make a window over the ranks of `comm` (default: COMM_SELF). It has `size` zeroed bytes for this
        rank, next to the bytes of the other ranks.
        """
        group = current().own if comm is None else comm
        context = group._enter()
        sizes = group.allgather((int(size), int(disp_unit)))
        if any(each < 0 for each, _ in sizes):
            raise wrong("ERR_SIZE", f"a window of {size} bytes; give 0 or more")
        block = context.comm.shared(max(1, sum(each for each, _ in sizes)))
        new = cls()
        starts = np.cumsum([0, *(each for each, _ in sizes)]).tolist()
        new._parts = [(block[start:start + each], unit)
                      for start, (each, unit) in zip(starts, sizes, strict=False)]
        new._comm, new._unit = group.Dup(), int(disp_unit)
        return new

    @classmethod
    def Allocate(cls, size: int, disp_unit: int = 1, info: Any = None, comm: Any = None) -> Win:
        raise not_offered("Win.Allocate", ONE_SIDED)

    @classmethod
    def Create(cls, memory: Any, disp_unit: int = 1, info: Any = None, comm: Any = None) -> Win:
        raise not_offered("Win.Create", ONE_SIDED)

    def _memory(self) -> list[tuple[np.ndarray, int]]:
        if self._parts is None:
            raise wrong("ERR_WIN", "the window is WIN_NULL")
        return self._parts

    def Shared_query(self, rank: int) -> tuple[Any, int]:
        """Returns (memory of a rank, its unit in bytes). PROC_NULL stands for the first rank with memory."""
        parts = self._memory()
        if rank == c.PROC_NULL:
            return next(((RawMemory.over(memory), unit) for memory, unit in parts if memory.size),
                        (RawMemory.allocate(0), 1))
        if not 0 <= rank < len(parts):
            raise wrong("ERR_RANK", f"rank {rank}, but the window has ranks 0 to {len(parts) - 1}")
        return RawMemory.over(parts[rank][0]), parts[rank][1]

    def tomemory(self) -> Any:
        assert self._comm is not None
        return self.Shared_query(self._comm.Get_rank())[0]

    def Fence(self, assertion: int = 0) -> None:
        """Wait until all ranks have called Fence. Afterwards all ranks see the data that any rank wrote
        before its call.
        """
        self._memory()
        assert self._comm is not None
        self._comm.Barrier()

    def Sync(self) -> None:
        """Do nothing, since all ranks use the same memory."""
        self._memory()

    def Lock_all(self, assertion: int = 0) -> None:
        self._memory()

    def Unlock_all(self) -> None:
        self._memory()

    def Lock(self, rank: int, lock_type: int = c.LOCK_EXCLUSIVE, assertion: int = 0) -> None:
        raise not_offered("Win.Lock", "locks of one rank's memory are not offered; separate the writes with "
                                      "Fence, or send messages")

    def Free(self) -> None:
        self._memory()
        assert self._comm is not None
        self._comm.Barrier()
        self._comm.Free()
        self._parts = self._comm = None

    def Get_group(self) -> Group:
        self._memory()
        assert self._comm is not None
        return self._comm.Get_group()

    group = property(Get_group)
    flavor = property(lambda self: c.WIN_FLAVOR_SHARED)
    model = property(lambda self: c.WIN_UNIFIED)

    def __bool__(self) -> bool:
        return self._parts is not None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Win) and self._parts is other._parts

    def __hash__(self) -> int:
        return id(self._parts)
