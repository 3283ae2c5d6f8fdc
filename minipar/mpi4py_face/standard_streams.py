"""Makes the objects `sys.argv` and `sys.stdin` for ranks that share a process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, TextIO

from minipar.comm.diagnostics.call_site import caller
from minipar.errors import CommError


class Arguments(list[str]):
    """The object `sys.argv`. Each rank has its own list."""

    def __init__(self, usual: list[str], of_thread: dict[int, list[str]]) -> None:
        super().__init__(usual)
        self._usual, self._of_thread = usual, of_thread

    def _own(self) -> list[str]:
        return self._of_thread.get(threading.get_ident(), self._usual)

    def __getitem__(self, index: Any) -> Any:
        return self._own()[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        self._own()[index] = value

    def __delitem__(self, index: Any) -> None:
        del self._own()[index]

    def __iter__(self) -> Iterator[str]:
        return iter(self._own())

    def __len__(self) -> int:
        return len(self._own())

    def __repr__(self) -> str:
        return repr(self._own())

    def __eq__(self, other: object) -> bool:
        return self._own() == other

    def __contains__(self, item: object) -> bool:
        return item in self._own()

    def __add__(self, other: Any) -> Any:
        return self._own() + other

    def copy(self) -> list[str]:
        return list(self._own())

    def append(self, item: str) -> None:
        self._own().append(item)

    def insert(self, index: Any, item: str) -> None:
        self._own().insert(index, item)

    def extend(self, items: Any) -> None:
        self._own().extend(items)

    def pop(self, index: Any = -1) -> str:
        return self._own().pop(index)

    def remove(self, item: str) -> None:
        self._own().remove(item)

    def index(self, *args: Any) -> int:
        return self._own().index(*args)

    def count(self, item: str) -> int:
        return self._own().count(item)


READING = {"read", "readline", "readlines", "buffer", "detach", "fileno", "seek", "__next__"}


class Input:
    """The object `sys.stdin`. Rank 0 can read it, as under mpirun. On any other rank, a read raises
    CommError.
    """

    def __init__(self, stream: TextIO | None, ranks: dict[int, int]) -> None:
        self._stream, self._ranks = stream, ranks

    def _asked(self) -> Any:
        if rank := self._ranks.get(threading.get_ident(), 0):
            raise CommError(f"rank {rank} reads standard input at {caller()[1]}, which belongs to rank 0; "
                            "read it there and send it to the others: comm.bcast(text, root=0)")
        return self._stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._asked() if name in READING else self._stream, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._asked())
