"""The binomial tree. In a broadcast, the number of ranks that have the data doubles in every round.

    round 1    0 -> 4                               p = 8, root 0
    round 2    0 -> 2, 4 -> 6
    round 3    0 -> 1, 2 -> 3, 4 -> 5, 6 -> 7

In the tree, the ranks are numbered from the root, which has number 0. To find a rank's parent, clear the
lowest 1 bit of its number. To find a child, set one of the bits below that bit. Example: 6 is 110 in binary;
its parent is 100 (4), its child is 111 (7). So the numbers in a subtree are consecutive. Let p be the number
of ranks, n the bytes of the array, alpha the seconds per message and beta the seconds per byte. The tree is
the best for short arrays, where alpha dominates. The costs are:

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
    """Returns the parent of number v in the tree (None for the root), and the children of v. The child with
    the largest subtree comes first. Example: family(4, 8) is (0, [6, 5]).
    """
    lowest = v & -v if v else 1 << (size - 1).bit_length()
    bits = [1 << bit for bit in reversed(range(lowest.bit_length() - 1))]
    return (v - lowest if v else None), [v + bit for bit in bits if v + bit < size]


def from_root(channel: Channel, root: int) -> Channel:
    """Returns a channel of the same ranks, in which the root has number 0."""
    return channel.among([(root + v) % channel.size for v in range(channel.size)])


def broadcast(channel: Channel, buffer: np.ndarray, root: int) -> AlgorithmSteps:
    tree = from_root(channel, root)
    parent, children = family(tree.rank, tree.size)
    if parent is not None:
        yield tree.receive(buffer, parent)
    yield from [tree.send(buffer, child) for child in children]


def reduce(channel: Channel, source: np.ndarray, out: np.ndarray, combine: np.ufunc,
           root: int) -> AlgorithmSteps:
    """Reduce from the leaves up to the root. This is the reverse of a broadcast. A rank adds its children's
    arrays in its `out`. It starts with the child whose subtree is the smallest.
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
    """Each rank collects the pieces of its subtree and sends them to its parent in one message. Only the root
    uses `out`.
    """
    tree = from_root(channel, root)
    parent, children = family(tree.rank, tree.size)
    run = subtrees(counts, tree)
    # pieces of this rank's subtree, in the tree's order
    held = np.empty(run[tree.rank].stop, source.dtype)
    held[:source.size] = source
    for child in reversed(children):
        yield tree.receive(held[run[child]], child)
    if parent is not None:
        yield tree.send(held, parent)
    else:
        rotate(held, out, held.size - sum(counts[:root]))


def scatter(channel: Channel, source: np.ndarray, out: np.ndarray, counts: Sequence[int],
            root: int) -> AlgorithmSteps:
    """Each rank receives the pieces of its whole subtree and sends each child the pieces of the child's
    subtree. This is the reverse of a gather.
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
    """Returns the elements of each subtree, as one slice for each number v in the tree. The slices refer to
    an array that starts with this rank's own piece.
    """
    edge = edges([counts[rank] for rank in tree.ranks])
    ends = [tree.size] + [min(tree.size, v + (v & -v)) for v in range(1, tree.size)]
    return [slice(edge[v] - edge[tree.rank], edge[end] - edge[tree.rank])
            for v, end in enumerate(ends)]
