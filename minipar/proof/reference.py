"""The one process that a layout is held against, and a control: what one last bit of noise in its first
weights changes.

Rounding is such a noise. Where sizes are ill-conditioned (a LayerNorm over three units), a last bit of the
weights moves later gradients in their tenth digit, in one process too, and no layout can be closer to it than
that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from minipar.comm.solo import solo
from minipar.errors import ConfigError
from minipar.proof.case import RUNS, Case
from minipar.proof.findings import difference, tolerance
from minipar.proof.record import Record
from minipar.proof.runs import run_rank

MULTIPLE = 64  # of what the control shows: a layout rounds more than once
USELESS = 0.01                                                      # a tolerance that would let bugs through
MIXED = ("mixed losses", "mixed gradients", "mixed norms", "mixed weights")
HALF = 0.5  # a scale that is off by a factor of two is seen in any case
MIXED_UNITS = 16  # of float16, whose last bit any sum in another order may turn


@dataclass(frozen=True)
class Reference:
    """records: by run, see RUNS. noise: item -> the largest relative difference that the control shows.
    limits: item -> how far an element may be off, relative to the largest of its array.
    """

    records: Mapping[str, Record]
    noise: Mapping[str, float]
    limits: Mapping[str, float]


def run_alone(case: Case) -> Reference:
    """The case on one process, twice. Raises ConfigError for sizes at which a last bit decides, so that
    nothing can be proven.
    """
    records = {run: run_rank(solo(), case.alone(), run).record for run in RUNS}
    control = {run: run_rank(solo(), replace(case.alone(), noise=True), run).record for run in RUNS}
    noise = {item: max((difference(control[run][item][place].values, seen.values)[1] for place,
                        seen in places.items()),
                       default=0.0) for run, record in records.items() for item, places in record.items()}
    # one rounding that turns moves all
    noise.update(dict.fromkeys(MIXED, max(noise[item] for item in MIXED)))
    least = tolerance(case.train.dtype)
    half = MIXED_UNITS * float(np.finfo(np.float16).eps)
    limits = {item: min(max(half, MULTIPLE * size), HALF) if item in MIXED else max(least, MULTIPLE * size)
              for item, size in noise.items()}
    for item, limit in limits.items():
        if item not in (*MIXED, "tokens") and not limit <= USELESS:
            raise ConfigError(f"one last bit of the weights changes the {item} by {noise[item]:.1e}, so "
                              "nothing can be proven "
                              f"at these sizes; choose a larger --width, or --dtype float64")
    return Reference(records, noise, limits)
