"""Which algorithm is the fastest? A tree for few bytes, a ring for many; where they cross depends on alpha
and beta.

`select` asks the cost model (`minipar.plan.collective_times`). Who has measured links passes them, and gives
the name that comes back as `algorithm`.
"""

from functools import lru_cache

import numpy as np

from minipar.comm.collectives.shared_array import location_in_shared_memory
from minipar.comm.protocol import Communicator
from minipar.plan.collective_times import TIMES, Links, hierarchical_all_reduce

# The order of what processes on one machine reach through this protocol, and of 10 Gbit/s Ethernet. `minipar
# doctor` measures.
WITHIN_NODE = Links(alpha=10e-6, beta=0.15e-9, gamma=0.05e-9)
BETWEEN_NODES = Links(alpha=40e-6, beta=0.8e-9, gamma=0.05e-9)


@lru_cache(maxsize=4096)  # a training step asks the same questions again and again
def select(operation: str, nbytes: int, ranks: int, *, nodes: int = 1, within: Links = WITHIN_NODE,
           between: Links = BETWEEN_NODES) -> str:
    """The name of the fastest algorithm by the cost model.

    nbytes: of the whole array, as in `minipar.plan.collective_times`. With several nodes, all but the
    hierarchical one are as slow as their slowest links.
    """
    links = within if nodes == 1 else between
    times = {name: time(ranks, nbytes, links) for name, time in TIMES[operation].items()}
    if operation == "all_reduce" and 1 < nodes < ranks:
        times["hierarchical"] = hierarchical_all_reduce(nodes, ranks // nodes, nbytes, within, between)
    return min(times, key=times.__getitem__)


def choose(operation: str, algorithm: str, comm: Communicator, nbytes: int, out: np.ndarray
           | None = None) -> str:
    """`algorithm` itself, unless it is "auto": then shared memory where `out` lies there, else what the
    communicator prefers, else the fastest.

    "by_size" is what the communicator prefers, else the fastest on one node. It looks at nothing but the
    numbers of bytes and ranks, so groups of as many ranks add in the same order, wherever their arrays and
    ranks are: copies that several groups add up stay equal in bits. So a preferred "hierarchical", whose
    order follows the nodes, is not taken by "by_size", nor on one node, where it has no hierarchy.
    """
    if algorithm not in ("auto", "by_size"):
        return algorithm
    if algorithm == "auto" and out is not None and location_in_shared_memory(comm, out) is not None:
        return "shared"
    nodes = len(set(comm.nodes)) if algorithm == "auto" else 1
    preferred = comm.preferred.get(operation)
    if preferred and (preferred != "hierarchical" or nodes > 1):
        return preferred
    return select(operation, nbytes, comm.size, nodes=nodes)
