"""Bugs of ZeRO stage 3: weights that are gathered too late, freed too early or never, or overwritten in use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minipar.parallel import sharded_units
from minipar.parallel.sharded_units import GatheredUnits, Gathering, ReducedUnits
from minipar.proof.mutants.mutant import Change, Mutant, mutant


def gathered(check: str, **values: Any) -> Callable[[Callable[[], list[Change]]], Mutant]:
    """A mutant with so many blocks that they take turns in the buffers."""
    return mutant(check, **dict(dp=2, zero=3, layers=3) | values)


@gathered("later gradients", reshard_after_forward=False)
def stale_gathered_weights() -> list[Change]:
    """Gathered weights stay after the optimiser's step: the next step computes with the old ones."""
    return [Change(Gathering, "free", lambda gathering: None)]


@gathered("backward")
def freed_before_backward() -> list[Change]:
    """Backward does not gather the weights again that were freed after forward: it finds those of another
    block.
    """
    return [Change(GatheredUnits, "before_backward", lambda units, unit, y: y)]


@gathered("forward")
def prefetched_into_the_buffer_in_use() -> list[Change]:
    """The next block but one is gathered ahead into one of two buffers: that of the block that runs."""
    return [Change(sharded_units, "AHEAD", 2)]


@gathered("traffic dp")
def reshard_claimed_but_not_done() -> list[Change]:
    """Weights that still lie in a buffer are not gathered again for backward: right, but not what was asked
    for, and more memory with other buffers.
    """
    return [Change(GatheredUnits, "end", ReducedUnits.end)]
