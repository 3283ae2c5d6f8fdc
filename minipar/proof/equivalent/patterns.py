"""Finds the kind of mistake that explains a wrong array.

A pattern is a function that examines a wrong array. It returns an explanation, or "" if the pattern does not
fit. Some patterns use the ratio of the wrong to the right array, others the positions of the wrong elements.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minipar.proof.equivalent.arrangements import (
    another_order,
    another_shape,
    dealt_out,
    exchanged,
    off_by_some,
    one_part_wrong,
    only_borders,
    only_own_part,
)
from minipar.proof.equivalent.multiples import (
    constant_added,
    input_added,
    missing_sum,
    one_ratio,
    own_counts,
    zero,
)
from minipar.proof.equivalent.sharding import Replicated
from minipar.proof.equivalent.wrong_array import UNKNOWN, Facts, WrongArray, ranks_text


def kind_of(wrong: WrongArray, facts: Facts) -> str:
    """Returns the explanation of the first pattern that fits."""
    return next(filter(None, (pattern(wrong, facts) for pattern in PATTERNS)))


def not_finite(wrong: WrongArray, facts: Facts) -> str:
    """Detects NaN and infinite values."""
    bad = [rank for rank, got in zip(wrong.ranks, wrong.got, strict=True) if not np.isfinite(got).all()]
    return (
        f"NaN or infinite on rank {bad[0]}: a buffer that was never filled, or a division by zero"
        if bad
        else ""
    )


def some_ranks_right(wrong: WrongArray, facts: Facts) -> str:
    """Detects copies or shards that are right on some ranks and wrong on others."""
    right = [rank for rank, fine in zip(wrong.ranks, wrong.right, strict=True) if fine]
    bad = [rank for rank, fine in zip(wrong.ranks, wrong.right, strict=True) if not fine]
    if not right:
        return ""
    factors = [one for one, fine in zip(wrong.ratios, wrong.right, strict=True) if not fine]
    if isinstance(wrong.sharding, Replicated):
        said = f"right on {ranks_text(right)}, wrong on {ranks_text(bad)}"
        if wrong.whole.size > 1 and None not in factors:
            shown = ", ".join(f"{factor:.4g}" for factor in factors[:4])
            return f"{said} ({shown} times the right value)"
        cause = ": a reduce to one rank instead of an all-reduce, or a broadcast is missing"
        return said + (cause if len(right) == 1 else "")
    known = [one for one in factors if one is not None]
    same = len(known) == len(bad) and max(known) - min(known) <= wrong.clean
    value = f", {known[0]:.4g} times the right value" if same else ""
    which = "shard of rank" if len(bad) == 1 else "shards of ranks"
    return f"right on {ranks_text(right)}, wrong only in the {which} {', '.join(map(str, bad))}{value}"


def differs(wrong: WrongArray, facts: Facts) -> str:
    """Describes an array whose mistake is unknown. This pattern fits every array, so it comes last."""
    if (
        isinstance(wrong.sharding, Replicated)
        and len(wrong.got) > 1
        and not all(wrong.same(wrong.got[0], other) for other in wrong.got)
    ):
        return f"{UNKNOWN}, and different on each rank"
    return UNKNOWN


# the patterns are tried in this order
PATTERNS: tuple[Callable[[WrongArray, Facts], str], ...] = (
    not_finite, exchanged, another_shape, missing_sum, zero, one_ratio, off_by_some, own_counts, only_borders,
    dealt_out, constant_added, some_ranks_right, only_own_part, input_added, another_order, one_part_wrong,
    differs)
