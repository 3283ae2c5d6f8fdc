"""The base class of wrappers: communicators that hold another one. There are wrappers for counting, tracing,
checking, a virtual clock, planted faults and preferred algorithms.

A subclass overrides some calls and forwards them to `self.inner`. The blocking calls (send, recv, sendrecv,
barrier) call isend, irecv and wait, so they also pass through the overridden methods.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minipar.comm.protocol import NOT_GIVEN, Communicator, Request


class Wrapper(Communicator):
    """Forwards every call unchanged to `inner`."""

    def __init__(self, inner: Communicator) -> None:
        self.inner = inner
        self.rank, self.size, self.name = inner.rank, inner.size, inner.name
        self.members, self.nodes = inner.members, inner.nodes

    @property
    def collectives(self) -> int:                                   # type: ignore[override]
        return self.inner.collectives

    @property
    def preferred(self) -> Mapping[str, str]:                       # type: ignore[override]
        return self.inner.preferred

    @property
    def native(self) -> Any:
        return self.inner.native

    def isend(self, array: np.ndarray, dest: int = NOT_GIVEN, *, label: str | None = None,
              tag: int = 0) -> Request:
        return self.inner.isend(array, dest, label=label, tag=tag)

    def irecv(self, out: np.ndarray, source: int = NOT_GIVEN, *, label: str | None = None,
              tag: int = 0) -> Request:
        return self.inner.irecv(out, source, label=label, tag=tag)

    def wait(self, request: Request) -> np.ndarray:
        return self.inner.wait(request)

    def test(self, request: Request) -> bool:
        return self.inner.test(request)

    def isend_message(self, data: np.ndarray, dest: int, *, type_code: int, tag: int = 0,
                      label: str | None = None, synchronous: bool = False) -> Request:
        return self.inner.isend_message(data, dest, type_code=type_code, tag=tag, label=label,
                                        synchronous=synchronous)

    def irecv_message(self, out: np.ndarray | None, source: int, *, type_code: int, tag: int = 0,
                      label: str | None = None) -> Request:
        return self.inner.irecv_message(out, source, type_code=type_code, tag=tag, label=label)

    def probe_message(self, source: int, *, tag: int = 0, label: str | None = None) -> Request:
        return self.inner.probe_message(source, tag=tag, label=label)

    def cancel_message(self, request: Request) -> bool:
        return self.inner.cancel_message(request)

    def forget_message(self, request: Request) -> None:
        self.inner.forget_message(request)

    def close(self) -> None:
        self.inner.close()

    def open_messages(self) -> None:
        self.inner.open_messages()

    def shared(self, nbytes: int, *, label: str | None = None) -> np.ndarray:
        return self.inner.shared(nbytes, label=label)

    def entering(self, op: str, shape: tuple[int, ...] | None, dtype: np.dtype | None,
                 *, label: str | None = None, **agreed: Any) -> int:
        """Forward the call. agreed: more arguments that must be equal on all ranks; only Checking compares
        them.
        """
        return self.inner.entering(op, shape, dtype, label=label, **agreed)

    @property
    def checked(self) -> bool:                                      # type: ignore[override]
        return self.inner.checked

    @property
    def books(self) -> Any:
        return self.inner.books

    def overflowed(self, op: str, label: str) -> None:
        self.inner.overflowed(op, label)

    def split(self, color: int | None, key: int = 0, *, label: str | None = None) -> Communicator | None:
        """Split the inner communicator and wrap the new group. The messages of the split do not pass through
        this wrapper.
        """
        part = self.inner.split(color, key, label=label)
        return None if part is None else self.wrap(part)

    def subgroup(self, ranks: list[int], *, label: str | None = None) -> Communicator | None:
        part = self.inner.subgroup(ranks, label=label)
        return None if part is None else self.wrap(part)

    def group_of(self, ranks: list[int], tag: int, *, label: str | None = None) -> Communicator:
        return self.wrap(self.inner.group_of(ranks, tag, label=label))

    def wrap(self, part: Communicator) -> Communicator:
        """Returns a wrapper around the new group `part`. The new wrapper has the options of this wrapper, and
        both share their records.
        """
        return type(self)(part)
