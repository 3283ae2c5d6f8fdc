"""Bugs of compressed gradients: the residuals (the parts that were rounded away) are lost. Each step looks
right, but the errors add up.
"""

from __future__ import annotations

from minipar.parallel.compressed import CompressedReducer
from minipar.proof.mutants.mutant import Change, mutant


@mutant("feedback", dp=2, gradients="1bit")
def error_feedback_reset() -> list[Change]:
    """Each step begins without the residuals of the previous step, so rounding errors are never corrected."""
    original = CompressedReducer.finish

    def finish(reducer: CompressedReducer) -> None:
        original(reducer)
        reducer.residual[...] = 0
    return [Change(CompressedReducer, "finish", finish)]


@mutant("feedback", dp=2, gradients="int8")
def residual_of_the_sum_forgotten() -> list[Change]:
    """Gradients are rounded before the sum over ranks, and the sum is rounded again. The residual of the
    second rounding is lost.
    """
    original = CompressedReducer.finish

    def finish(reducer: CompressedReducer) -> None:
        original(reducer)
        for residual in reducer.sum_residuals:
            residual[...] = 0
    return [Change(CompressedReducer, "finish", finish)]
