"""Verifies a layout in this process: the ranks are threads."""

from __future__ import annotations

from typing import Any

from minipar.comm.threads import run
from minipar.config import Layout
from minipar.proof.case import uneven_case
from minipar.proof.proof import VerificationReport, prove
from minipar.proof.reference import make_reference


def verify(layout: Layout, **values: Any) -> VerificationReport:
    """Train a small GPT on the layout and on one process, and compare the results, like `minipar verify`.

    values: fields of ModelConfig and TrainConfig that replace the sizes of `uneven_case`, for example
    width=12, heads=4. Raises ConfigError, LayoutError or ScheduleError for sizes that the layout cannot
    distribute.

    >>> import minipar as mp
    >>> mp.verify(mp.Layout(dp=2), layers=1).proven
    True
    """
    case = uneven_case(layout, **values)
    return run(layout.ranks, prove, case, make_reference(case))[0]
