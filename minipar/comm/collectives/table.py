"""The table of algorithms. It maps an operation and the name of an algorithm to a function."""

from collections.abc import Callable
from typing import Any

from minipar.comm.collectives.algorithms import (
    bruck,
    halving_doubling,
    hierarchical,
    naive,
    pairwise,
    recursive_doubling,
    ring,
    segmented,
    tree,
)
from minipar.comm.collectives.algorithms import shared_memory as shared
from minipar.comm.collectives.algorithms.native import native
from minipar.comm.diagnostics.call_site import caller
from minipar.errors import CommError

ALGORITHMS: dict[str, dict[str, Callable[..., Any]]] = {
    "broadcast": {
        "naive": naive.broadcast, "tree": tree.broadcast, "ring": ring.broadcast,
        "native": native("broadcast"),
    },
    "reduce": {
        "naive": naive.reduce, "tree": tree.reduce, "ring": ring.reduce, "native": native("reduce"),
    },
    "all_reduce": {
        "naive": naive.all_reduce, "tree": tree.all_reduce, "ring": ring.all_reduce,
        "segmented": segmented.all_reduce,
        "recursive_doubling": recursive_doubling.all_reduce, "halving_doubling": halving_doubling.all_reduce,
        "hierarchical": hierarchical.all_reduce, "shared": shared.all_reduce, "native": native("all_reduce"),
    },
    "reduce_scatter": {
        "naive": naive.reduce_scatter, "ring": ring.reduce_scatter, "segmented": segmented.reduce_scatter,
        "halving_doubling": halving_doubling.reduce_scatter, "native": native("reduce_scatter"),
    },
    "all_gather": {
        "naive": naive.all_gather, "ring": ring.all_gather,
        "recursive_doubling": recursive_doubling.all_gather,
        "bruck": bruck.all_gather, "native": native("all_gather"),
    },
    "gather": {"naive": naive.gather, "tree": tree.gather, "native": native("gather")},
    "scatter": {"naive": naive.scatter, "tree": tree.scatter, "native": native("scatter")},
    "all_to_all": {
        "naive": naive.all_to_all, "pairwise": pairwise.all_to_all, "bruck": bruck.all_to_all,
        "native": native("all_to_all"),
    },
}


def find(operation: str, name: str) -> Callable[..., Any]:
    """Returns the algorithm of this name. Raises CommError with the valid names if the name is unknown."""
    names = ALGORITHMS[operation]
    if not isinstance(name, str) or name not in names:
        raise CommError(f"{operation} at {caller()[1]} has no algorithm '{name}'; choose auto, by_size, "
                        f"{', '.join(names)}", operation=operation, item="algorithm")
    return names[name]
