"""Checks that replicas are bitwise equal. Unequal replicas drift apart, and the loss curve hides this for a
long time.

Ranks of dp hold the same shard of every parameter. A parameter that is not sharded is also the same on all
ranks of tp. A tied table can be at both ends of a pipeline. Losses and norms are the same on all ranks.
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
# Replicas of dp generate text independently. Their tp groups may be distributed over nodes in different ways.
# Then partial sums are added in different orders. So these items are compared only inside one replica.
OF_A_REPLICA = ("logits",)


def digests(runs: Mapping[str, RankRun]) -> dict[str, str]:
    """Returns name -> hash of the bytes, for each array that this rank shares with other ranks. All holders
    of an array use the same name.
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
    """Returns the finding about replicas. Its two differences are 0, because only the equality of bits is
    checked. ranks: the digests of every rank.
    """
    for name in dict.fromkeys(name for found in ranks for name in found):
        holders = [(rank, found[name]) for rank, found in enumerate(ranks) if name in found]
        for rank, digest in holders:
            if digest != holders[0][1]:
                return Finding("replicas", 0.0, 0.0, f"{name} on ranks {holders[0][0]} and {rank}",
                               bits=False, proven=False)
    return Finding("replicas", 0.0, 0.0, "", bits=True, proven=True)
