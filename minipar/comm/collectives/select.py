"""Selects the fastest algorithm: a tree for few bytes, a ring for many bytes. The limit between them depends
on alpha (seconds per message) and beta (seconds per byte).

`select` uses the cost model (`minipar.plan.collective_times`). Pass measured `Links` to replace the defaults.
Pass the returned name as `algorithm` to a collective.
"""

from functools import lru_cache

import numpy as np

from minipar.comm.collectives.shared_array import location_in_shared_memory
from minipar.comm.protocol import Communicator
from minipar.plan.collective_times import TIMES, Links, hierarchical_all_reduce

# Typical values for this protocol. WITHIN_NODE: between processes of one machine. BETWEEN_NODES: over
# 10 Gbit/s Ethernet. `minipar doctor` measures these values on your machines.
WITHIN_NODE = Links(alpha=10e-6, beta=0.15e-9, gamma=0.05e-9)
BETWEEN_NODES = Links(alpha=40e-6, beta=0.8e-9, gamma=0.05e-9)


@lru_cache(maxsize=4096)  # every training step makes the same calls
def select(operation: str, nbytes: int, ranks: int, *, nodes: int = 1, within: Links = WITHIN_NODE,
           between: Links = BETWEEN_NODES) -> str:
    """Returns the name of the fastest algorithm by the cost model.

    nbytes: bytes of the whole array, as in `minipar.plan.collective_times`. With several nodes, the model
    uses the links between nodes for all algorithms except the hierarchical one.
    """
    links = within if nodes == 1 else between
    times = {name: time(ranks, nbytes, links) for name, time in TIMES[operation].items()}
    if operation == "all_reduce" and 1 < nodes < ranks:
        times["hierarchical"] = hierarchical_all_reduce(nodes, ranks // nodes, nbytes, within, between)
    return min(times, key=times.__getitem__)


def choose(operation: str, algorithm: str, comm: Communicator, nbytes: int,
           out: np.ndarray | None = None) -> str:
    """Returns the name of the algorithm to run: `algorithm`, unless it is "auto" or "by_size".

    "auto" selects "shared" if `out` is in shared memory. Otherwise it selects the communicator's preferred
    algorithm. Without a preferred one, it selects the fastest one.

    "by_size" selects the communicator's preferred algorithm. Without a preferred one, it selects the
    algorithm that would be the fastest if all ranks were on one node. This choice depends only on the numbers
    of bytes and ranks. So groups of equal size add in the same order, and replicas in several groups stay
    bitwise equal. "hierarchical" adds in an order that depends on the nodes. So if it is the preferred
    algorithm, "by_size" ignores it. "auto" ignores it only if all ranks are on one node.
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
