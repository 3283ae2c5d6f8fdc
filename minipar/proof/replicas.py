"""Are replicas equal in every bit? If not, they drift apart, and the loss curve hides it for a long time.

Ranks of dp hold the same shard of every parameter; a parameter that is not sharded is the same on all ranks
of tp too. A tied table may be at both ends of a pipeline. Losses and norms are the same on all ranks.
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
# Replicas of dp generate text independently. Their tp groups may be distributed over nodes differently, and
# then partial sums are added in different orders.
OF_A_REPLICA = ("logits",)


def digests(runs: Mapping[str, RankRun]) -> dict[str, str]:
    """For everything that this rank shares with others: its name, the same on all holders -> a hash of the
    bytes.
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
    """A hash of all bits: 16 hexadecimal digits."""
    state = hashlib.blake2b(digest_size=8)
    for array in arrays:
        state.update(array.tobytes())
    return state.hexdigest()


def replicas(ranks: list[dict[str, str]]) -> Finding:
    """The finding about replicas, without sizes: bits are equal or not. ranks: the digests of every rank."""
    for name in dict.fromkeys(name for found in ranks for name in found):
        holders = [(rank, found[name]) for rank, found in enumerate(ranks) if name in found]
        for rank, digest in holders:
            if digest != holders[0][1]:
                return Finding("replicas", 0.0, 0.0, f"{name} on ranks {holders[0][0]} and {rank}",
                               bits=False, proven=False)
    return Finding("replicas", 0.0, 0.0, "", bits=True, proven=True)
