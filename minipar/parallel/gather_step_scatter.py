"""Implements the definition of ZeRO: gather all shards, run a training step, scatter.

Between two steps, each rank keeps only its shard of the weights and of the optimiser's state. A step gathers
all shards and runs the step of plain data parallelism. Then each rank keeps its own shard of the result:

    rank 0:  [a a | . .]    gather     [a a b b]    step     [A A B B]    scatter    [A A | . .]
    rank 1:  [. . | b b]    ------>    [a a b b]    --->     [A A B B]    ------>    [. . | B B]

This saves memory between steps, but not during a step. `sharded.py` computes the same results with less
memory and less traffic. Tests compare both.
"""

# dp: the axis of data parallelism

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minipar.comm.collectives import all_gather, all_reduce, even_counts
from minipar.comm.protocol import Communicator
from minipar.optim import Flat, Optimizer


class GatherStepScatter:
    """Runs plain data parallelism, but shards the state between steps over the ranks of dp. All ranks of dp
    call the methods together.

    flat: the weights, equal on all ranks. make: creates the optimiser. weights, state: the shards [k] of this
    rank, where k is the number of elements of a shard.
    """

    def __init__(self, flat: Flat, make: Callable[[Flat], Optimizer], dp: Communicator):
        self.flat, self.dp, self.optimizer = flat, dp, make(flat)
        self.counts = even_counts(len(flat.data), dp.size)
        start = sum(self.counts[:dp.rank])
        self.own = slice(start, start + self.counts[dp.rank])
        self.weights = flat.data[self.own].copy()
        self.state = {slot: array[self.own].copy() for slot, array in self.optimizer.state.items()}

    def step(self, lr: float) -> None:
        """Run one step. Before the call, the flat gradient must hold the gradient of this rank's samples."""
        gradient = self.flat.gradient()
        all_reduce(self.dp, gradient, label="gradients", out=gradient)
        self.gather()
        self.optimizer.step(lr)
        self.scatter()

    def gather(self) -> None:
        """Gather whole weights and state from the shards of all ranks."""
        self._gather(self.weights, self.flat.data)
        for slot, shard in self.state.items():
            self._gather(shard, self.optimizer.state[slot])

    def scatter(self) -> None:
        """Copy this rank's elements of the whole arrays into its shards. Then the whole arrays could be
        freed.
        """
        self.weights[...] = self.flat.data[self.own]
        for slot, shard in self.state.items():
            shard[...] = self.optimizer.state[slot][self.own]

    def _gather(self, shard: np.ndarray, whole: np.ndarray) -> None:
        all_gather(self.dp, shard, counts=self.counts, label="everything", out=whole)
