"""Bugs of compressed gradients: lost residuals. Each step looks right, and the training is biased."""

from __future__ import annotations

from minipar.parallel.compressed import CompressedReducer
from minipar.proof.mutants.mutant import Change, mutant


@mutant("feedback", dp=2, gradients="1bit")
def error_feedback_reset() -> list[Change]:
    """Each step begins without the residuals of the step before: what was rounded away is lost for ever."""
    original = CompressedReducer.finish

    def finish(reducer: CompressedReducer) -> None:
        original(reducer)
        reducer.residual[...] = 0
    return [Change(CompressedReducer, "finish", finish)]


@mutant("feedback", dp=2, gradients="int8")
def residual_of_the_sum_forgotten() -> list[Change]:
    """The sum over ranks is rounded a second time, and only the first rounding has a residual."""
    original = CompressedReducer.finish

    def finish(reducer: CompressedReducer) -> None:
        original(reducer)
        for residual in reducer.sum_residuals:
            residual[...] = 0
    return [Change(CompressedReducer, "finish", finish)]
