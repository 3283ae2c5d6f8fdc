"""Verifies a mutant (planted bug), and shows which checks detect the bug."""

from __future__ import annotations

from typing import NamedTuple

from minipar.comm.threads import run
from minipar.errors import MiniparError
from minipar.proof.mutants import Mutant
from minipar.proof.proof import prove
from minipar.proof.reference import Reference, make_reference


class Trial(NamedTuple):
    """The result of `trial`. failed_checks: the failed checks in order, or [] if no check detects the bug. If
    the job stops with an error, the list holds only the name of the error. explanations: the explanations of
    `prove`, or the message of the error.
    """

    failed_checks: list[str]
    explanations: list[str]


def trial(mutant: Mutant, reference: Reference | None = None) -> Trial:
    """Plant the bug and verify the mutant's case. The ranks are threads. reference: see `prove`. A
    shared mutant makes its own reference.
    """
    if not mutant.shared:
        reference = reference or make_reference(mutant.case)
    try:
        with mutant.planted():
            known = make_reference(mutant.case) if mutant.shared else reference
            report = run(mutant.case.layout.ranks, lambda world: prove(world, mutant.case, known))[0]
    except MiniparError as error:
        return Trial([type(error).__name__], [str(error)])
    return Trial(report.failed_checks, report.explanations)
