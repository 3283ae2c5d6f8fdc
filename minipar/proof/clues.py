"""Finds clues to the cause of a wrong array.

A clue is the ratio of the wrong array to the right array, or an axis over which a sum is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from minipar.autograd import tokens_that_count
from minipar.comm.collectives import all_reduce
from minipar.comm.protocol import Communicator
from minipar.plan.parameters import rank_shapes
from minipar.proof.findings import difference
from minipar.proof.record import Location, RankRun, Record

CLEAN = 1e-6  # values with a smaller relative difference count as equal
# The explanation of an array with a small error in most elements.
NEARLY_RIGHT = ("only the leading digits are right: precision is lost, or a small addend (such as AdamW's "
                "epsilon) is wrong")

# A dict with four keys. "ratio": the ratio of the wrong to the right array, or None if it is not constant.
# "sums": the axes over which the sum of the ranks' arrays equals the right array. "shape": true if the shapes
# are equal. "own": the result of whole_by_own.
Clue = dict[str, Any]
# The last right location and the first wrong location, in the order of computation. Each can be None.
Edge = tuple[Location | None, Location | None]


def gradient_clues(run: RankRun, mine: Record, limit: float) -> dict[str, Clue]:
    """Returns a dict, parameter name -> clue, of the gradients that are wrong on this rank. All ranks call
    this function. mine: this rank's part of the reference, from `part_of`. limit: the largest relative
    difference of a right gradient.
    """
    seen = run.record["gradients"]
    arrays = {at.name: one.values for at, one in seen.items()}
    sharded = {p.name for p in run.trainer.store.parameters if p.is_sharded}
    # the order of `whole` is the same on all ranks
    whole = {name: array for name, array in arrays.items() if name not in sharded}
    sums = {"dp": _summed(arrays, run.grid.dp), "tp": _summed(whole, run.grid.tp),
            "pp": _over_both_ends(run, arrays)}
    wanted = {at.name: one.own(mine["gradients"][at].values) for at, one in seen.items()
              if at in mine["gradients"]}
    own = whole_by_own(run)
    return {name: _clue(own, arrays[name], want,
                        {axis: total[name] for axis, total in sums.items() if name in total})
            for name, want in wanted.items() if difference(arrays[name], want)[1] > limit}


def activation_clue(run: RankRun, mine: Record, item: str, at: Location) -> Clue | None:
    """Returns the clue to the activation at the location `at`. This activation is wrong on some rank. Returns
    None if the activation belongs to another stage. All ranks call this function with the same location.
    """
    seen = run.record[item]
    if at not in seen and at not in mine[item]:
        return None
    if at not in seen or at not in mine[item]:
        return {"ratio": None, "sums": [], "shape": False, "own": 1.0}
    whole = seen[at].values.shape[1] == run.trainer.model.context   # true: the array has all tokens
    sums = _summed({"tp": seen[at].values}, run.grid.tp) if whole else {}  # the key is the axis
    want = seen[at].own(mine[item][at].values)
    return _clue(whole_by_own(run), seen[at].values, want, sums)


def edge(order: Iterable[Location], wrong: set[Location]) -> Edge:
    """Returns the last right and the first wrong location. order: all locations, in the order in which one
    process computes them. wrong: the wrong locations.
    """
    return next((pair for pair in pairwise([None, *order, *sorted(wrong)]) if pair[1] in wrong), (None, None))


def ratio(got: np.ndarray, want: np.ndarray, clean: float = CLEAN) -> float | None:
    """Returns r if `got` equals r times `want`, else None. clean: the relative tolerance."""
    if got.shape != want.shape or not np.isfinite(got).all() or not want.any():
        return None
    r = float(np.vdot(got, want) / np.vdot(want, want))
    return r if abs(got - r * want).max() <= clean * abs(want).max() else None


def whole_by_own(run: RankRun) -> float:
    """Returns the number of counted (not ignored) targets in the first global batch, divided by the number of
    counted targets in this rank's samples. Returns 0 if this rank has no counted target.
    """
    targets = run.trainer.batches.get(0)[1]
    own = tokens_that_count(targets[run.trainer.rows])
    return tokens_that_count(targets) / own if own else 0.0


def counting_part(run: RankRun) -> float:
    """Returns the fraction of counted (not ignored) targets in the first global batch."""
    targets = run.trainer.batches.get(0)[1]
    return tokens_that_count(targets) / targets.size


def _clue(own: float, got: np.ndarray, want: np.ndarray, sums: dict[str, np.ndarray]) -> Clue:
    axes = [axis for axis, total in sums.items() if difference(total, want)[1] <= CLEAN]
    return {"ratio": ratio(got, want), "sums": axes, "shape": got.shape == want.shape, "own": own}


def _summed(arrays: Mapping[str, np.ndarray], group: Communicator) -> dict[str, np.ndarray]:
    """Returns the sums of the arrays over a group. Returns {} for a group of one rank."""
    if group.size == 1 or not arrays:
        return {}
    total = all_reduce(group, np.concatenate([array.reshape(-1) for array in arrays.values()]),
                       label="verify clues")
    parts = np.split(total, np.cumsum([array.size for array in arrays.values()])[:-1])
    return {name: part.reshape(array.shape)
            for (name, array), part in zip(arrays.items(), parts, strict=True)}


def _over_both_ends(run: RankRun, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the gradient of the tied token table, summed over pp. Only the first and the last stage hold
    the table.
    """
    name, trainer, tp = "tokens.weight", run.trainer, run.grid.tp
    if not trainer.model.tied:
        return {}
    nothing = np.zeros(rank_shapes(trainer.model, tp.size, tp.rank)[name], trainer.config.dtype)
    return _summed({name: arrays.get(name, nothing)}, run.grid.pp)
