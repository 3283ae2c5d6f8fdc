"""Which check sees which bug: a mutant, planted and verified."""

from __future__ import annotations

from typing import NamedTuple

from minipar.comm.threads import run
from minipar.errors import MiniparError
from minipar.proof.mutants import Mutant
from minipar.proof.proof import prove
from minipar.proof.reference import Reference, run_alone


class Trial(NamedTuple):
    """lights: the checks that fail, the first one first; none if the bug survives. A job that stops has one
    light, the name of its error. explanations: what `prove` says about the cause, or the error.
    """

    lights: list[str]
    explanations: list[str]


def trial(mutant: Mutant, reference: Reference | None = None) -> Trial:
    """Verify the mutant's case with the bug planted, on ranks that are threads. reference: see `prove`."""
    reference = reference or run_alone(mutant.case)
    try:
        with mutant.planted():
            report = run(mutant.case.layout.ranks, lambda world: prove(world, mutant.case, reference))[0]
    except MiniparError as error:
        return Trial([type(error).__name__], [str(error)])
    return Trial(report.lights, report.explanations)
