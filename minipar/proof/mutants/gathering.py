"""Bugs of ZeRO stage 3: gathered weights that are freed too early or never, or that are overwritten while a
block uses them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minipar.parallel import sharded_units
from minipar.parallel.sharded_units import GatheredUnits, Gathering, ReducedUnits
from minipar.proof.mutants.mutant import Change, Mutant, mutant


def gathered(check: str, **values: Any) -> Callable[[Callable[[], list[Change]]], Mutant]:
    """Returns a decorator that makes a mutant of ZeRO stage 3. Its model has more blocks than buffers for
    gathered weights.
    """
    return mutant(check, **dict(dp=2, zero=3, layers=3) | values)


@gathered("later gradients", reshard_after_forward=False)
def stale_gathered_weights() -> list[Change]:
    """Gathered weights are not freed after the optimiser's step, so the next step computes with old weights.
    """
    return [Change(Gathering, "free", lambda gathering: None)]


@gathered("backward")
def freed_before_backward() -> list[Change]:
    """The weights of a block are freed after forward, and backward does not gather them again. So backward
    uses a buffer with the weights of another block.
    """
    return [Change(GatheredUnits, "before_backward", lambda units, unit, y: y)]


@gathered("forward")
def prefetched_into_the_buffer_in_use() -> list[Change]:
    """Weights are gathered two blocks ahead, but there are only two buffers. So the gathered weights
    overwrite the weights of the running block.
    """
    return [Change(sharded_units, "AHEAD", 2)]


@gathered("traffic dp")
def reshard_claimed_but_not_done() -> list[Change]:
    """The layout says that weights are freed after forward, but they stay in their buffer. All values are
    right, but no memory is saved.
    """
    return [Change(GatheredUnits, "end", ReducedUnits.end)]
