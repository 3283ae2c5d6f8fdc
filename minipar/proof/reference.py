"""Makes the reference, which is a run on one process. A second run on one process, the control, measures the
effect of rounding.

The control changes the last bit of each initial weight. This can change results much more than one bit. For
example, with a LayerNorm over three units it changes later gradients in their tenth digit. A correct layout
can differ from the reference by a similar amount, so the limits depend on the control.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from minipar.comm.collectives.gather_values import gathered
from minipar.comm.protocol import Communicator
from minipar.comm.solo import solo
from minipar.errors import ConfigError, MiniparError
from minipar.proof.case import RUNS, Case
from minipar.proof.findings import difference, tolerance
from minipar.proof.record import Location, Record, Seen
from minipar.proof.runs import run_rank
from minipar.proof.sending import sent_to_all

MULTIPLE = 64  # the limit is MULTIPLE times the control's difference, because a layout rounds more often
USELESS = 0.01                                                      # a larger limit would hide bugs
MIXED = ("mixed losses", "mixed gradients", "mixed norms", "mixed weights")
WIDEST = 0.4  # the largest limit of the items in MIXED; a wrong factor of 2 or 1/2 still exceeds it
MIXED_UNITS = 16  # the smallest limit of MIXED, in machine epsilons of float16: sums in another order differ


@dataclass(frozen=True)
class Reference:
    """The results of one process. records: run (a key of RUNS) -> record. noise: item -> largest relative
    difference between the reference and the control. limits: item -> largest allowed error of an element,
    relative to the largest element of its array.
    """

    records: Mapping[str, Record]
    noise: Mapping[str, float]
    limits: Mapping[str, float]


Made = tuple[Record, dict[str, float]]  # the record of a run, and its noise: item -> relative difference


def make_reference(case: Case) -> Reference:
    """Make the reference and the control on one process. Raises ConfigError if the noise is too large for a
    proof with these sizes.
    """
    return _reference(case, {run: _make(case, run) for run in RUNS})


def shared_reference(world: Communicator, case: Case) -> Reference:
    """Make one reference for all ranks of `world`. Each rank makes some of the runs and sends them to the
    other ranks. All ranks call this function. All ranks raise the errors that `make_reference` raises.
    """
    owners = {run: number % world.size for number, run in enumerate(RUNS)}
    made: dict[str, Made] = {}
    failed = False
    try:
        made = {run: _make(case, run) for run, owner in owners.items() if owner == world.rank}
    except MiniparError:
        failed = True
    if any(gathered(world, failed, "verify reference made")):
        return make_reference(case)  # raises the same error on every rank
    return _reference(case, {run: _sent(world, owner, made.get(run)) for run, owner in owners.items()})


def _make(case: Case, run: str) -> Made:
    record, control = (run_rank(solo(), replace(case.single_process(), noise=noise), run).record
                       for noise in (False, True))
    return record, {item: max((difference(control[item][at].values, seen.values)[1]
                               for at, seen in entries.items()), default=0.0)
                    for item, entries in record.items()}


def _sent(world: Communicator, owner: int, made: Made | None) -> Made:
    """Sends the record and the noise of one run from rank `owner` to every rank. made: the record and the
    noise on the owner, None on the other ranks.
    """
    record, noise = made or ({}, {})
    names, noise = gathered(world, [[[item, list(entries)] for item, entries in record.items()], noise],
                            "verify reference items")[owner]
    arrays = {f"{item} {at}": seen.values for item, entries in record.items() for at, seen in entries.items()}
    values = iter(sent_to_all(world, arrays, owner, "verify reference").values())
    return {item: {Location(*at): Seen(next(values), np.asarray) for at in entries}
            for item, entries in names}, noise


def _reference(case: Case, made: Mapping[str, Made]) -> Reference:
    noise = {item: size for _, sizes in made.values() for item, size in sizes.items()}
    # These items share one limit. If one value is rounded differently in float16, all of them can change.
    noise.update(dict.fromkeys(MIXED, max(noise[item] for item in MIXED)))
    least = tolerance(case.train.dtype)
    half = MIXED_UNITS * float(np.finfo(np.float16).eps)
    limits = {item: min(max(half, MULTIPLE * size), WIDEST) if item in MIXED else max(least, MULTIPLE * size)
              for item, size in noise.items()}
    for item, limit in limits.items():
        if item not in (*MIXED, "tokens") and not limit <= USELESS:
            raise ConfigError(f"one last bit of the weights changes the {item} by {noise[item]:.1e}, so "
                              "nothing can be proven "
                              f"at these sizes; choose a larger --width, or --dtype float64")
    return Reference({run: record for run, (record, _) in made.items()}, noise, limits)
