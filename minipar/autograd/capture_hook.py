"""Defines the capture hook. It passes every op call to an observer, which is a function.

An op is a function that calls `record`. Every op of this package is marked `@capturable`; the operators of
`minipar.parallel` call `captured`. Inside `with observing(observer)`, this thread runs
observer(op, arguments, keywords) instead of op(*arguments). `minipar.graph` uses this hook to record a
forward pass as a graph.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec

if TYPE_CHECKING:  # only for types, because tensor.py imports this file to mark its ops
    from minipar.autograd.tensor import Tensor

P = ParamSpec("P")
# (op, its positional arguments, its keyword arguments) -> the result of the op
Observer = Callable[[Callable[..., "Tensor"], tuple[Any, ...], dict[str, Any]], "Tensor"]


class _CaptureMode(threading.local):  # one per thread, because ranks may be threads of one process
    observer: Observer | None = None


_capture_mode = _CaptureMode()


@contextmanager
def observing(observer: Observer | None) -> Iterator[None]:
    """Sets the observer for the ops of this thread in the `with` block. With None, an op runs directly."""
    before, _capture_mode.observer = _capture_mode.observer, observer
    try:
        yield
    finally:
        _capture_mode.observer = before


def capturable(op: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Marks an op for `observing`. Outside `observing`, the mark costs one attribute look-up per call."""
    @functools.wraps(op)
    def call(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        observer = _capture_mode.observer
        return op(*args, **kwargs) if observer is None else observer(op, args, kwargs)
    return call


def captured(op: Callable[..., Tensor], *args: Any) -> Tensor | None:
    """Returns the observer's result of op(*args). Returns None outside `observing`, where the op runs itself.
    """
    observer = _capture_mode.observer
    return None if observer is None else observer(op, args, {})
