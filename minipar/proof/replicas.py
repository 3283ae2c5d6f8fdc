"""Are what should be copies really copies? Equal in every bit, or they drift apart, and no loss curve says so
for long.

Ranks of dp hold the same part of every parameter; a parameter that is not cut is the same on all ranks of tp
too. A tied table may be at both ends of a pipeline. Losses and norms are the same on all ranks.
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
# Replicas of dp write text apart from one another. The ranks of their tp groups may lie on nodes in different
# ways, and then partial sums are added in different orders.
OF_A_REPLICA = ("logits",)


def digests(runs: Mapping[str, RankRun]) -> dict[str, str]:
    """Of all that this rank shares with others: a name that sharers have in common -> a hash of the bytes."""
    found = {}
    for run in runs.values():
        at = run.grid.at
        sharded = {p.name for p in run.trainer.flat.parameters if p.is_sharded}
        for item in ITEMS:
            part = f", replica {at['dp']} of dp" if item in OF_A_REPLICA else ""
            for location, seen in run.record.get(item, {}).items():
                shard = f", part {at['tp']} of tp" if location.name in sharded else ""
                found[f"{location} of {item}{shard}{part}"] = fingerprint(seen.values)
    return found


def fingerprint(*arrays: np.ndarray) -> str:
    """16 hexadecimal digits that depend on every bit."""
    state = hashlib.blake2b(digest_size=8)
    for array in arrays:
        state.update(array.tobytes())
    return state.hexdigest()


def replicas(ranks: list[dict[str, str]]) -> Finding:
    """ranks: the digests of every rank. There is no size to a difference: bits are equal, or they are not."""
    for name in dict.fromkeys(name for found in ranks for name in found):
        holders = [(rank, found[name]) for rank, found in enumerate(ranks) if name in found]
        for rank, digest in holders:
            if digest != holders[0][1]:
                return Finding("replicas", 0.0, 0.0, f"{name} on ranks {holders[0][0]} and {rank}",
                               bits=False, proven=False)
    return Finding("replicas", 0.0, 0.0, "", bits=True, proven=True)
