"""Bugs of ZeRO stage 3: weights that are gathered too late, freed too early or never, or overwritten in use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minipar.parallel import sharded_units
from minipar.parallel.sharded_units import GatheredUnits, Gathering, ReducedUnits
from minipar.proof.mutants.mutant import Change, Mutant, mutant


def gathered(check: str, **values: Any) -> Callable[[Callable[[], list[Change]]], Mutant]:
    """Returns a decorator for a mutant whose case has more blocks than buffers."""
    return mutant(check, **dict(dp=2, zero=3, layers=3) | values)


@gathered("later gradients", reshard_after_forward=False)
def stale_gathered_weights() -> list[Change]:
    """Gathered weights are not freed after the optimiser's step, so the next step computes with old weights.
    """
    return [Change(Gathering, "free", lambda gathering: None)]


@gathered("backward")
def freed_before_backward() -> list[Change]:
    """Backward does not gather again the weights that were freed after forward. The buffer holds the weights
    of another block.
    """
    return [Change(GatheredUnits, "before_backward", lambda units, unit, y: y)]


@gathered("forward")
def prefetched_into_the_buffer_in_use() -> list[Change]:
    """Weights are gathered two blocks ahead, but there are only two buffers. They overwrite the weights of
    the running block.
    """
    return [Change(sharded_units, "AHEAD", 2)]


@gathered("traffic dp")
def reshard_claimed_but_not_done() -> list[Change]:
    """Weights that are still in a buffer are not gathered again for backward. All values are right, but
    resharding after forward does not happen, and saves no memory.
    """
    return [Change(GatheredUnits, "end", ReducedUnits.end)]
