"""Checks that all ranks agree on the members of a new group, or on the options of a job."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np

from minipar.comm.diagnostics.call_site import call_site, this_call
from minipar.comm.protocol import FINISH_TAG, Communicator, exchange, exchange_texts, is_whole
from minipar.errors import CommError


def agree_on_groups(comm: Communicator, ranks: Sequence[int], *, label: str | None) -> None:
    """Exchange the lists of ranks that the ranks pass. All ranks named in a list must pass the same list;
    otherwise every rank raises the same CommError.
    """
    if not isinstance(ranks, Sequence) or isinstance(ranks, str):
        raise CommError(f"{this_call(comm, label, 'subgroup')} needs a list of ranks, not {ranks!r:.40}")
    tag = comm.entering("subgroup", None, None, label=label)
    mine = np.full(comm.size, -1)
    right = (all(is_whole(rank) and 0 <= rank < comm.size for rank in ranks)
             and len(set(ranks)) == len(ranks) and (not ranks or comm.rank in ranks))
    if right:
        mine[:len(ranks)] = ranks
    else:
        mine[0] = -2                                                # marks an invalid list
    lists = exchange(comm, mine, label=label, tag=tag)              # [size, size]
    if not right:
        raise CommError(f"{this_call(comm, label, 'subgroup')} names {list(ranks)!r}; name ranks of 0 to "
                        f"{comm.size - 1}, each once, this rank among them")
    said = [[rank for rank in row if rank >= 0] for row in lists.tolist()]
    for wanted in said:
        others = [rank for rank in wanted if said[rank] != wanted]
        if others:
            raise CommError(f"{this_call(comm, label, 'subgroup')}: the ranks do not agree on the members: "
                            + "; ".join(f"rank {comm.members[rank]}: {named}"
                                        for rank, named in enumerate(said)))


def agree_on_options(comm: Communicator, options: Mapping[str, float | bool]) -> None:
    """Exchange the options of a job. Raises the same CommError on all ranks unless they are equal."""
    texts = exchange_texts(comm, json.dumps(options), label="options", tag=FINISH_TAG)
    said = [json.loads(text) for text in texts]
    for name in options:
        values = [each[name] for each in said]
        if values != values[:1] * len(values):
            raise CommError(f"job at {call_site()}: the ranks do not agree on {name}: "
                            + "; ".join(f"rank {rank}: {value}" for rank, value in enumerate(values)))
