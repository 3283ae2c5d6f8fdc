"""Converts Python objects to bytes and back, for the lower-case calls."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np


class Pickle:
    """MPI.pickle, which converts objects to bytes and back. A program may replace its two functions:
    MPI.pickle.__init__(dill.dumps, dill.loads) replaces them by the functions of dill.
    """

    def __init__(self, dumps: Callable[..., bytes] | Pickle | None = None,
                 loads: Callable[[Any], Any] | None = None,
                 protocol: int | None = pickle.HIGHEST_PROTOCOL) -> None:
        self._dumps: Callable[..., bytes] = pickle.dumps
        self._loads: Callable[[Any], Any] = pickle.loads
        self.PROTOCOL: int | None = protocol
        if isinstance(dumps, Pickle):
            self._dumps, self._loads, self.PROTOCOL = dumps._dumps, dumps._loads, dumps.PROTOCOL
        elif dumps is not None:
            self._dumps, self.PROTOCOL = dumps, None
        if loads is not None:
            self._loads = loads

    def dumps(self, obj: Any) -> bytes:
        return self._dumps(obj) if self.PROTOCOL is None else self._dumps(obj, self.PROTOCOL)

    def loads(self, data: Any) -> Any:
        return self._loads(data)


PICKLE = Pickle()


def to_bytes(obj: Any) -> np.ndarray:
    """Returns the pickled object as uint8 [n]."""
    return np.frombuffer(PICKLE.dumps(obj), np.uint8)


def to_object(data: np.ndarray) -> Any:
    return PICKLE.loads(data.tobytes()) if data.size else None      # an empty message stands for None
