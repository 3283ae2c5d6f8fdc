"""What kind of wrong is a gradient? A ratio to the right one, or a sum that somebody forgot, gives most bugs away."""

from __future__ import annotations

from typing import Any

import numpy as np

from minipar.comm.collectives import all_reduce
from minipar.comm.protocol import Communicator
from minipar.verify.findings import difference
from minipar.verify.record import Record, Run, Seen

CLEAN = 1e-6                                                        # relative: what is closer than that is taken as meant


def clues(run: Run, reference: Record, limit: float) -> dict[str, dict[str, Any]]:
    """Of each gradient that is wrong on this rank: {"ratio": r, or None if it is no multiple of the right one, "sums": the
    axes over which the ranks' gradients add up to the right one}. All ranks call it.
    """
    seen, cut = run.record["gradients"], {p.name for p in run.trainer.flat.parameters if p.is_cut}
    sums = {"dp": _summed(seen, run.grid.dp), "tp": _summed({name: one for name, one in seen.items() if name not in cut}, run.grid.tp)}
    found = {}
    for name, one in seen.items():
        want = one.own(reference["gradients"][name].values)
        if difference(one.values, want)[1] > limit:
            axes = [axis for axis, total in sums.items() if name in total and difference(total[name], want)[1] <= CLEAN]
            found[name] = {"ratio": ratio(one.values, want), "sums": axes}
    return found


def ratio(got: np.ndarray, want: np.ndarray) -> float | None:
    """r where got is r times want, None where no such number is."""
    if got.shape != want.shape or not np.isfinite(got).all() or not want.any():
        return None
    r = float(np.vdot(got, want) / np.vdot(want, want))
    return r if abs(got - r * want).max() <= CLEAN * abs(want).max() else None


def _summed(seen: dict[str, Seen], group: Communicator) -> dict[str, np.ndarray]:
    """The sum over a group of more than one rank; nothing for a group of one."""
    if group.size == 1 or not seen:
        return {}
    total = all_reduce(group, np.concatenate([one.values.reshape(-1) for one in seen.values()]), why="verify clues")
    ends = np.cumsum([one.values.size for one in seen.values()])
    return {name: part.reshape(one.values.shape) for (name, one), part in zip(seen.items(), np.split(total, ends[:-1]), strict=True)}
