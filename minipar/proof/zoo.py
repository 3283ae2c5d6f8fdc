"""Verifies a planted mutant: which check detects which bug?"""

from __future__ import annotations

from typing import NamedTuple

from minipar.comm.threads import run
from minipar.errors import MiniparError
from minipar.proof.mutants import Mutant
from minipar.proof.proof import prove
from minipar.proof.reference import Reference, make_reference


class Trial(NamedTuple):
    """failed_checks: in order; [] if the bug is not detected. If the job stops, it is the name of the error.
    explanations: those of `prove`, or the error's message.
    """

    failed_checks: list[str]
    explanations: list[str]


def trial(mutant: Mutant, reference: Reference | None = None) -> Trial:
    """Verify the mutant's case with the bug planted, on ranks that are threads. reference: see `prove`."""
    reference = reference or make_reference(mutant.case)
    try:
        with mutant.planted():
            report = run(mutant.case.layout.ranks, lambda world: prove(world, mutant.case, reference))[0]
    except MiniparError as error:
        return Trial([type(error).__name__], [str(error)])
    return Trial(report.failed_checks, report.explanations)
