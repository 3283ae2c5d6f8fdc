"""Random graphs through all passes: `python -m tests.graph.fuzz 5000` tries so many seeds, 200 by default."""

from __future__ import annotations

import sys

import numpy as np

from minipar.autograd import Tensor, no_grad
from minipar.graph import EXACT, OpGraph, capture, optimise
from tests.graph.functions import equal_bits, largest_difference, random_function

ROUNDED = 1e-10


def faults(seed: int) -> list[str]:
    """Messages about the graphs of this seed's function that are wrong. An error is a fault, too."""
    try:
        return wrong(seed)
    except Exception as error:
        return [f"seed {seed}: {error!r}"]


def wrong(seed: int) -> list[str]:
    function, inputs = random_function(seed)
    others = [x + 0.5 for x in inputs]
    graph = capture(function, *map(Tensor, inputs))
    with no_grad():
        direct = [one.data for one in function(*map(Tensor, others))]
    found = []
    if [one.tobytes() for one in graph.run(*others)] != [one.tobytes() for one in direct]:
        found.append(f"seed {seed}: the captured graph has other bits than the function")
    found += [f"seed {seed}: {name} changed bits" for name, one in EXACT.items()
              if not equal_bits(graph, one(graph), *others)]
    exact, rounded = optimise(graph, exact=True), optimise(graph)
    if not equal_bits(graph, exact.graph, *others):
        found.append(f"seed {seed}: the exact passes together changed bits")
    if not largest_difference(graph, rounded.graph, *others) < ROUNDED:
        found.append(f"seed {seed}: the optimised graph differs by more than {ROUNDED}")
    if again := left_over(rounded.graph):
        found.append(f"seed {seed}: {again}")
    return found


def left_over(graph: OpGraph) -> str:
    """A message if a second run of the passes removes more nodes, else ""."""
    fewer = optimise(graph, exact=True).graph
    return "" if len(fewer.nodes) == len(graph.nodes) else "a second run removes more nodes"


def main(count: int) -> int:
    np.seterr(all="ignore")
    found = [fault for seed in range(count) for fault in faults(seed)]
    print("\n".join([*found, f"{count} random graphs, {len(found)} faults"]))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else 200))
