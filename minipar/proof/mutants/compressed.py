"""Bugs of compressed gradients: lost residuals. Each step looks right, but the training is biased."""

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
    """The sum over ranks is rounded a second time, but only the first rounding keeps a residual."""
    original = CompressedReducer.finish

    def finish(reducer: CompressedReducer) -> None:
        original(reducer)
        for residual in reducer.sum_residuals:
            residual[...] = 0
    return [Change(CompressedReducer, "finish", finish)]
