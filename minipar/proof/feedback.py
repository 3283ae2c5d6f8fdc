"""Checks that error feedback loses no part of the compressed gradients.

Each rank keeps a residual: the part of its gradients that was rounded away. The sum of the gradients of all
ranks and steps must equal the sum of the applied gradients and the residuals. Compressed gradients differ
from the gradients of one process, so they need this check.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minipar.comm.collectives import all_reduce
from minipar.parallel.compressed import CompressedReducer
from minipar.proof.findings import difference, tolerance
from minipar.training.trainer import Trainer

# items that compressed gradients do not change; they must equal the items of one process
SHARED = ("initial weights", "forward", "loss", "backward", "rates")


def watch_feedback(trainer: Trainer) -> Callable[[], str]:
    """Starts to watch the sums of gradients over dp. Returns a function that all ranks of dp must call after
    the last step. That function describes the lost part of the gradients, or returns "".
    """
    reducer = trainer.reducer
    if not isinstance(reducer, CompressedReducer):
        return lambda: ""
    own, finish = reducer.flat, reducer.finish
    given, applied = np.zeros_like(own.data), np.zeros_like(own.data)

    def watched() -> None:
        given[...] += own.gradient()
        finish()
        applied[...] += own.grad

    vars(reducer)["finish"] = watched

    def wrong() -> str:
        kept = reducer.residual.copy()
        for (span, *_), counts, residual in zip(reducer.sections, reducer.counts, reducer.sum_residuals,
                                                strict=True):
            start = span.start + sum(counts[:reducer.dp.rank])
            kept[start:start + len(residual)] += residual
        whole = all_reduce(reducer.dp, given - kept, label="whole feedback")
        _, relative = difference(applied, whole)
        if relative <= tolerance(str(own.data.dtype)):
            return ""
        return f"applied gradients and residuals differ from all gradients by {relative:.1e}"

    return wrong
