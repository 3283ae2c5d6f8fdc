"""Finds the operation to which a message belongs. The wrappers for counting, tracing, virtual time and
planted faults need it.

A collective calls `entering` and gets its own tag, so the tag of a message identifies the operation.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minipar.comm.protocol import Communicator
from minipar.comm.wrappers.base import Wrapper


class Labelled(Wrapper):
    """A wrapper that stores the operation of each tag."""

    def __init__(self, inner: Communicator) -> None:
        super().__init__(inner)
        self._ops: dict[int, str] = {}

    def entering(self, op: str, shape: tuple[int, ...] | None, dtype: np.dtype | None,
                 *, label: str | None = None, **agreed: Any) -> int:
        tag = super().entering(op, shape, dtype, label=label, **agreed)
        self._ops[tag] = op
        return tag

    def op_of(self, kind: str, tag: int) -> str:
        """Returns the collective that owns this tag ("all_reduce sum", "barrier"). For a program's own
        message, returns `kind`.
        """
        return self._ops.get(tag, kind)
