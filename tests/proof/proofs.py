"""Shared parts of the tests of `prove`: a case on threads, and its reference, which is computed once.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from minipar.comm.threads import run
from minipar.config import Layout
from minipar.proof import Case, Reference, VerificationReport, make_reference, prove, uneven_case

SMALL = dict(layers=1, context=9)


@lru_cache(maxsize=64)
def reference(case: Case) -> Reference:
    return make_reference(case)


def on_threads(layout: Layout, **values: Any) -> VerificationReport:
    """Rank 0's report on an uneven case; values: fields of ModelConfig and TrainConfig that replace SMALL and
    the defaults.

    Ranks do not compare their collectives, which would double their messages: what is at stake here are the
    results.
    """
    case = uneven_case(layout, **SMALL | values)
    known = reference(case.single_process())
    return run(layout.ranks, lambda world: prove(world, case, known), checked=False)[0]
