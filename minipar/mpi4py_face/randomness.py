"""Gives each rank that is a thread its own random state in `random` and `numpy.random`.

In both modules, functions such as `random.random()` use one hidden generator. While ranks run, these
functions use the generator of the calling rank. So `random.seed(1)` on one rank does not affect the other
ranks.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

PLAIN = [name for name, value in vars(random).items() if getattr(value, "__self__", None) is random._inst]
NUMPY = [name for name in np.random.__all__
         if callable(getattr(np.random.RandomState, name, None))
         and not isinstance(getattr(np.random, name), type)]


class Generators:
    """The two generators of one rank. Their seeds come from the operating system, as in a new process."""

    def __init__(self) -> None:
        self.plain, self.numpy = random.Random(), np.random.RandomState()


@contextmanager
def own_generators(of_thread: dict[int, Generators]) -> Iterator[None]:
    """A context in which the functions of both modules use the generator of the calling rank."""
    before: list[tuple[Any, str, Any]] = []
    for module, names, kind in ((random, PLAIN, "plain"), (np.random, NUMPY, "numpy")):
        for name in names:
            usual = getattr(module, name)
            before.append((module, name, usual))
            setattr(module, name, dispatched(of_thread, kind, name, usual))
    try:
        yield
    finally:
        for module, name, usual in before:
            setattr(module, name, usual)


def dispatched(of_thread: dict[int, Generators], kind: str, name: str,
               usual: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **options: Any) -> Any:
        own = of_thread.get(threading.get_ident())
        return (usual if own is None else getattr(getattr(own, kind), name))(*args, **options)

    call.__name__, call.__doc__ = name, usual.__doc__
    return call
