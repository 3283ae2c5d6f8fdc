"""Checks that replicas (copies of one array on several ranks) are bitwise equal. Unequal replicas drift
apart, but the loss curve does not show this for a long time.

Ranks of dp hold the same shard of every parameter. A parameter that is not sharded is also the same on all
ranks of tp. The first and the last stage of a pipeline can both have the tied token table. Losses and norms
are the same on all ranks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from minipar.proof.findings import Finding
from minipar.proof.record import RankRun

ITEMS = ("loss", "norm", "rates", "later losses", "SGD weights", "logits", "tokens", "AdamW losses",
         "clipped norms",
         "AdamW weights", "AdamW state", "saved numbers", "mixed losses", "mixed norms", "loss scales",
         "mixed weights")
# Each rank of dp generates text on its own. The tp groups of two ranks of dp may be distributed over nodes in
# different ways, and then they add partial sums in different orders. So these items are compared only between
# ranks with the same index in dp.
OF_A_REPLICA = ("logits",)


def digests(runs: Mapping[str, RankRun]) -> dict[str, str]:
    """Returns a dict, name -> hash of the bytes, of the arrays that must be equal on several ranks. All ranks
    with a copy of an array use the same name for it.
    """
    found = {}
    for run in runs.values():
        at = run.grid.at
        sharded = {p.name for p in run.trainer.store.parameters if p.is_sharded}
        for item in ITEMS:
            part = f", replica {at['dp']} of dp" if item in OF_A_REPLICA else ""
            for location, seen in run.record.get(item, {}).items():
                shard = f", part {at['tp']} of tp" if location.name in sharded else ""
                found[f"{location} of {item}{shard}{part}"] = fingerprint(seen.values)
    return found


def fingerprint(*arrays: np.ndarray) -> str:
    """Returns a hash of all bits, as 16 hexadecimal digits."""
    state = hashlib.blake2b(digest_size=8)
    for array in arrays:
        state.update(array.tobytes())
    return state.hexdigest()


def replicas(ranks: list[dict[str, str]]) -> Finding:
    """Returns the finding about replicas. Only the equality of bits is checked, so the finding has no size of
    a difference. ranks: the digests of every rank.
    """
    for name in dict.fromkeys(name for found in ranks for name in found):
        holders = [(rank, found[name]) for rank, found in enumerate(ranks) if name in found]
        for rank, digest in holders:
            if digest != holders[0][1]:
                return Finding("replicas", 0.0, 0.0, f"{name} on ranks {holders[0][0]} and {rank}",
                               bits=False, proven=False)
    return Finding("replicas", 0.0, 0.0, "", bits=True, proven=True)
