"""Checks that all ranks pass the same members of a new group and the same options of a job. This file also
names groups.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

import numpy as np

from minipar.comm.diagnostics.call_site import CallSite, call_site, this_call, wrong_call
from minipar.comm.protocol import FINISH_TAG, Communicator, exchange, exchange_texts, is_whole
from minipar.errors import CommError


def agree_on_groups(comm: Communicator, ranks: Sequence[int], *, label: str | None) -> None:
    """Compare the lists of group members that the ranks pass. All ranks named in a list must pass the same
    list; otherwise every rank raises the same CommError.

    The ranks exchange two numbers per list: its length and a hash. Each rank must be in its own list. So the
    lists agree if the following is true for every list: the number of ranks that pass the list equals its
    length. Example: ranks 0 and 1 pass [0, 1], and rank 2 passes [2]. The list [0, 1] has the length 2, and
    two ranks pass its hash. If the lists do not agree, the ranks also exchange the whole lists, for the text
    of the error.
    """
    if not isinstance(ranks, Sequence) or isinstance(ranks, str):
        raise wrong_call(comm, label, "subgroup", f"needs a list of ranks, not {ranks!r:.40}", item="ranks")
    tag = comm.entering("subgroup", None, None, label=label)
    right = (all(is_whole(rank) and 0 <= rank < comm.size for rank in ranks)
             and len(set(ranks)) == len(ranks) and (not ranks or comm.rank in ranks))
    mine = np.full(comm.size, -1)
    if right:
        mine[:len(ranks)] = ranks
    about = np.array([len(ranks) if right else -1, digest_of(mine)])
    if all_agree(exchange(comm, about, label=label, tag=tag)):
        return
    lists = exchange(comm, mine, label=label, tag=tag)  # [size, size]: one list per row, padded with -1
    if not right:
        raise wrong_call(comm, label, "subgroup", f"names {list(ranks)!r}; name ranks from 0 to "
                         f"{comm.size - 1}, each once, including this rank")
    said = [[rank for rank in row if rank >= 0] for row in lists.tolist()]
    for wanted in said:
        others = [rank for rank in wanted if said[rank] != wanted]
        if others:
            raise CommError(f"{this_call(comm, label, 'subgroup')}: the ranks do not agree on the members: "
                            + "; ".join(f"rank {comm.members[rank]}: {named}"
                                        for rank, named in enumerate(said)))


def digest_of(numbers: np.ndarray) -> int:
    """Returns the hash of an array, an integer of 63 bits. Equal arrays have equal hashes."""
    digest = hashlib.blake2b(numbers.tobytes(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def all_agree(about: np.ndarray) -> bool:
    """Returns whether the lists of all ranks agree. about: int64 [size, 2], the length (-1 if invalid) and
    the hash of each rank's list.
    """
    kinds, counts = np.unique(about, axis=0, return_counts=True)
    lengths = kinds[:, 0]
    return bool(np.all((lengths == 0) | (lengths == counts)))


def agree_on_options(comm: Communicator, options: Mapping[str, float | bool]) -> None:
    """Exchange the options of a job. Raises the same CommError on all ranks unless they are equal."""
    texts = exchange_texts(comm, json.dumps(options), label="options", tag=FINISH_TAG)
    said = [json.loads(text) for text in texts]
    for name in options:
        values = [each[name] for each in said]
        if values != values[:1] * len(values):
            raise CommError(f"job at {call_site()}: the ranks do not agree on {name}: "
                            + "; ".join(f"rank {rank}: {value}" for rank, value in enumerate(values)))


def group_name(label: str | None, members: tuple[int, ...]) -> str:
    """Returns the name of a new group: its label, or without a label its ranks. All members get the same
    name.
    """
    if label is None or isinstance(label, CallSite):
        return f"ranks {', '.join(map(str, members))}"
    return label
