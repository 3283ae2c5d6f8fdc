"""The binomial tree: the number of ranks that have the data doubles in every round.

    round 1    0 -> 4                               p = 8, root 0
    round 2    0 -> 2, 4 -> 6
    round 3    0 -> 1, 2 -> 3, 4 -> 5, 6 -> 7

A rank's parent is its number without its lowest set bit. Setting one of the bits below gives a child.
Example: 6 is 110 in binary; its parent is 100 (4), its child 111 (7). So a subtree is a run of neighbours.
Ranks are numbered from the root on. Best for short arrays, where alpha dominates:

    broadcast, reduce      ceil(log2 p) (alpha + n beta)
    scatter, gather        ceil(log2 p) alpha + (p - 1)/p n beta
    all-reduce           2 ceil(log2 p) (alpha + n beta)

Source: Thakur, Rabenseifner, Gropp 2005, "Optimization of collective communication operations in MPICH",
sections 4.2 to 4.4.
"""

from collections.abc import Sequence

import numpy as np

from minipar.comm.collectives.channel import AlgorithmSteps, Channel
from minipar.comm.collectives.chunks import copy_unless_same, edges, rotate


def family(v: int, size: int) -> tuple[int | None, list[int]]:
    """The parent of position v in the tree (None for the root), and its children, the one with the largest
    subtree first.
    """
    lowest = v & -v if v else 1 << (size - 1).bit_length()
    bits = [1 << bit for bit in reversed(range(lowest.bit_length() - 1))]
    return (v - lowest if v else None), [v + bit for bit in bits if v + bit < size]


def from_root(channel: Channel, root: int) -> Channel:
    """The same ranks, counted from the root on."""
    return channel.among([(root + v) % channel.size for v in range(channel.size)])


def broadcast(channel: Channel, buffer: np.ndarray, root: int) -> AlgorithmSteps:
    tree = from_root(channel, root)
    parent, children = family(tree.rank, tree.size)
    if parent is not None:
        yield tree.receive(buffer, parent)
    yield from [tree.send(buffer, child) for child in children]


def reduce(channel: Channel, source: np.ndarray, out: np.ndarray, combine: np.ufunc,
           root: int) -> AlgorithmSteps:
    """The broadcast backwards, from the leaves up, smallest subtree first. A rank that has children adds up
    in its `out`.
    """
    tree = from_root(channel, root)
    parent, children = family(tree.rank, tree.size)
    total, incoming = source, np.empty_like(source)
    for child in reversed(children):
        yield tree.receive(incoming, child)
        total = combine(total, incoming, out=out)
    if parent is not None:
        yield tree.send(total, parent)
    else:
        copy_unless_same(total, out)


def all_reduce(channel: Channel, source: np.ndarray, out: np.ndarray, combine: np.ufunc) -> AlgorithmSteps:
    yield from reduce(channel, source, out, combine, root=0)
    yield from broadcast(channel, out, root=0)


def gather(channel: Channel, source: np.ndarray, out: np.ndarray, counts: Sequence[int],
           root: int) -> AlgorithmSteps:
    """Each rank collects the pieces of its subtree and passes them up in one message. Other ranks' `out` is
    not used.
    """
    tree = from_root(channel, root)
    parent, children = family(tree.rank, tree.size)
    run = subtrees(counts, tree)
    held = np.empty(run[tree.rank].stop, source.dtype)  # the pieces of this rank's subtree, in tree order
    held[:source.size] = source
    for child in reversed(children):
        yield tree.receive(held[run[child]], child)
    if parent is not None:
        yield tree.send(held, parent)
    else:
        rotate(held, out, held.size - sum(counts[:root]))


def scatter(channel: Channel, source: np.ndarray, out: np.ndarray, counts: Sequence[int],
            root: int) -> AlgorithmSteps:
    """The gather backwards: a rank receives the pieces of its whole subtree and passes its children
    theirs.
    """
    tree = from_root(channel, root)
    parent, children = family(tree.rank, tree.size)
    run = subtrees(counts, tree)
    held = np.empty(run[tree.rank].stop, out.dtype)
    if parent is not None:
        yield tree.receive(held, parent)
    else:
        rotate(source, held, sum(counts[:root]))
    yield from [tree.send(held[run[child]], child) for child in children]
    np.copyto(out, held[:out.size])


def subtrees(counts: Sequence[int], tree: Channel) -> list[slice]:
    """For each position v in the tree: the slice of its subtree's pieces, counted from this rank's own piece.
    """
    edge = edges([counts[rank] for rank in tree.ranks])
    ends = [tree.size] + [min(tree.size, v + (v & -v)) for v in range(1, tree.size)]
    return [slice(edge[v] - edge[tree.rank], edge[end] - edge[tree.rank]) for v,
            end in enumerate(ends)]
