"""The hook for mixed precision: it changes the dtype in which an op computes.

The layers know nothing of mixed precision. The ops that take most of a model's time, and the ops that must
keep all their digits, are marked `@castable`. Inside `with casting(rule)`, a call op(*arguments) of a marked
op becomes rule(op, *arguments). The rules are in `minipar.precision`.
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
    """The rule of this thread, None outside `casting`."""
    return _cast_mode.rule


@contextmanager
def casting(rule: Rule | None) -> Iterator[None]:
    """In the `with` block, castable ops of this thread are called through `rule`; directly if it is None."""
    before, _cast_mode.rule = _cast_mode.rule, rule
    try:
        yield
    finally:
        _cast_mode.rule = before


def castable(op: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Mark an op, so that `casting` applies to it. Outside `casting` this costs one attribute look-up."""
    @functools.wraps(op)
    def call(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        rule = _cast_mode.rule
        return op(*args, **kwargs) if rule is None else rule(op, *args, **kwargs)
    return call
