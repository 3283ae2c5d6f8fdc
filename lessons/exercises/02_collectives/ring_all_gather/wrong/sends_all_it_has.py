"""Sends everything gathered so far in every step: right, and about p/2 times too many bytes.

fails: cost
says: par is
"""
import numpy as np


def all_gather(comm, piece, lengths):
    p, rank = comm.size, comm.rank
    ends = np.cumsum(lengths)
    out = np.zeros(ends[-1])
    own = slice(ends[rank] - lengths[rank], ends[rank])
    out[own] = piece
    for step in range(p - 1):
        came = comm.sendrecv(out, (rank + 1) % p, np.empty_like(out), (rank - 1) % p)
        source = (rank - step - 1) % p
        part = slice(ends[source] - lengths[source], ends[source])
        out[part] = came[part]
    return out
