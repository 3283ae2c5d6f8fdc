"""Defines the hook for mixed precision. The hook can change the dtype in which an op computes.

The layers contain no code for mixed precision. Two kinds of ops are marked `@castable`: ops that take most of
a model's time, and ops that must keep full precision. Inside `with casting(rule)`, this thread runs rule(op,
*arguments) instead of a marked op(*arguments). `minipar.precision` defines the rules.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ParamSpec

if TYPE_CHECKING:  # only for types, because tensor.py imports this file to mark its matmul
    from minipar.autograd.tensor import Tensor

P = ParamSpec("P")
Rule = Callable[..., "Tensor"]  # (op, *arguments of the op) -> result of the op


class _CastMode(threading.local):  # one per thread, because ranks may be threads of one process
    rule: Rule | None = None


_cast_mode = _CastMode()


def rule_now() -> Rule | None:
    """Returns the rule of this thread, or None outside `casting`."""
    return _cast_mode.rule


@contextmanager
def casting(rule: Rule | None) -> Iterator[None]:
    """Sets the rule for the castable ops of this thread in the `with` block. With None, an op runs directly.
    """
    before, _cast_mode.rule = _cast_mode.rule, rule
    try:
        yield
    finally:
        _cast_mode.rule = before


def castable(op: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Marks an op for `casting`. Outside `casting`, the mark costs one attribute look-up per call."""
    @functools.wraps(op)
    def call(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        rule = _cast_mode.rule
        return op(*args, **kwargs) if rule is None else rule(op, *args, **kwargs)
    return call
