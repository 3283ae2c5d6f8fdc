"""Which check sees which bug: a mutant, planted and verified."""

from __future__ import annotations

from collections.abc import Mapping

from minipar.comm.threads import run
from minipar.errors import MiniparError
from minipar.verify.mutants import Mutant
from minipar.verify.proof import verify
from minipar.verify.record import Record, run_alone


def lights_of(mutant: Mutant, reference: Mapping[str, Record] | None = None) -> list[str]:
    """The checks that fail with the mutant planted, the first one first, on ranks that are threads; none if it survives.

    A job that stops has one light, the name of its error. reference: see `verify`.
    """
    reference = reference or run_alone(mutant.case)
    try:
        with mutant.planted():
            return run(mutant.case.layout.ranks, lambda world: verify(world, mutant.case, reference))[0].lights
    except MiniparError as error:
        return [type(error).__name__]
