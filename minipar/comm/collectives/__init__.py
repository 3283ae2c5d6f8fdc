"""The collectives, written by hand with the protocol's messages.

Read naive.py first, then tree.py, ring.py, recursive_doubling.py and halving_doubling.py. Last, read
segmented.py, hierarchical.py and shared_memory.py, which use the machine's structure. Every algorithm is a
generator (channel.py). So a program can wait for a collective or run it step by step.

    total = all_reduce(comm, gradient, label="gradients")       # a new array; the fastest algorithm
    all_reduce(comm, gradient, "mean", label="gradients", out=gradient, algorithm="ring")       # in place
    handle = start_all_reduce(comm, gradient, label="gradients", out=gradient)
    handle.test(), handle.wait()
"""

from minipar.comm.collectives.channel import Handle
from minipar.comm.collectives.chunks import even_counts
from minipar.comm.collectives.movements import (
    all_gather,
    all_to_all,
    broadcast,
    gather,
    scatter,
    start_all_gather,
)
from minipar.comm.collectives.reductions import (
    all_reduce,
    reduce,
    reduce_scatter,
    start_all_reduce,
    start_reduce_scatter,
)
from minipar.comm.collectives.select import select
from minipar.comm.collectives.shared_array import SharedArray, shared_array
from minipar.comm.collectives.table import ALGORITHMS

__all__ = [
    "ALGORITHMS", "Handle", "SharedArray", "all_gather", "all_reduce", "all_to_all", "broadcast",
    "even_counts", "gather",
    "reduce", "reduce_scatter", "scatter", "select", "shared_array", "start_all_gather", "start_all_reduce",
    "start_reduce_scatter",
]
