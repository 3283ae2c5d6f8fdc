"""Checks that all ranks make the same collective call. The ranks compare a hash of the call before data
moves.

The comparison is the same as in `minipar.comm.wrappers.checking`, but here it is the first part of the
collective and runs in steps. So a non-blocking call (Ibcast) does not wait for the comparison. The wait for
its request raises the error.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

import numpy as np

from minipar.comm.collectives.algorithms import bruck
from minipar.comm.collectives.channel import AlgorithmSteps, Channel
from minipar.comm.diagnostics.call_site import after, caller
from minipar.comm.diagnostics.disagreement import disagreement
from minipar.errors import CommError


def account_of(op: str, count: int | None, element: str | None, root: int | None, counts: Any,
               number: int) -> dict[str, Any]:
    """Returns the account of this rank's call, a dictionary. It has the arguments, the call site, and the
    exception that the program is handling. number: the number of collectives before this one.
    """
    return {"op": op, "count": count, "dtype": element, "root": root, "algorithm": None, "counts": counts,
            "number": number, "label": "", "shape": None if count is None else [count],
            "location": caller()[1], "after": after()}


def agreement(channel: Channel, account: dict[str, Any]) -> AlgorithmSteps:
    """Compare the accounts of all ranks, except call site and exception. If they differ, raise the same
    CommError on every rank.
    """
    said = str([value for name, value in account.items() if name not in ("location", "after")])
    table = np.zeros(channel.size, np.int64)
    table[channel.rank] = zlib.crc32(said.encode())
    yield from bruck.all_gather(channel, table, [1] * channel.size)
    if (table == table[0]).all():
        return
    text = np.frombuffer(json.dumps(account, default=int).encode(), np.uint8)
    sizes = np.zeros(channel.size, np.int64)
    sizes[channel.rank] = text.size
    yield from bruck.all_gather(channel, sizes, [1] * channel.size)
    texts = np.empty(int(sizes.sum()), np.uint8)
    start = int(sizes[:channel.rank].sum())
    texts[start:start + text.size] = text
    yield from bruck.all_gather(channel, texts, sizes.tolist())
    accounts = [json.loads(part.tobytes()) for part in np.split(texts, np.cumsum(sizes)[:-1])]
    raise disagreement(channel.comm, accounts) or CommError("the ranks' calls differ")
