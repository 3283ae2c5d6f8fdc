"""The one door through which ops are called whose precision can be chosen from outside.

Mixed precision changes how ops compute without a word in the layers that call them. So the ops that spend a
model's time, and those that must not lose digits, are marked `@castable`, and inside `with casting(rule)` a
call of one of them becomes rule(op, *arguments). What the rules are is the business of `minipar.precision`.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ParamSpec

if TYPE_CHECKING:  # tensor.py marks its matmul, so it imports this file
    from minipar.autograd.tensor import Tensor

P = ParamSpec("P")
Rule = Callable[..., "Tensor"]                                      # (op, *its arguments) -> what it returns


class _CastMode(threading.local):  # per thread: ranks may be threads of one process
    rule: Rule | None = None


_cast_mode = _CastMode()


def rule_now() -> Rule | None:
    """What this thread's calls of castable ops go through."""
    return _cast_mode.rule


@contextmanager
def casting(rule: Rule | None) -> Iterator[None]:
    """Inside, this thread's calls of castable ops go through `rule`; None: straight to the ops."""
    before, _cast_mode.rule = _cast_mode.rule, rule
    try:
        yield
    finally:
        _cast_mode.rule = before


def castable(op: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Mark an op. Outside `casting`, it costs one look at the mode."""
    @functools.wraps(op)
    def call(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        rule = _cast_mode.rule
        return op(*args, **kwargs) if rule is None else rule(op, *args, **kwargs)
    return call
