"""Implements local SGD: every rank trains independently for some steps, then the ranks average their weights.

    rank 0   w -> w -> w -> w \\            / w -> w -> ...
    rank 1   w -> w -> w -> w -- average --  w -> w -> ...      one message per `every` steps

With every=1 and plain SGD, the result equals data parallelism with the mean of the gradients, because the
average of w - lr g_i is w - lr mean(g_i). With Adam, or with every > 1, the results differ, because the
weights of the ranks differ between two averages.

DiLoCo (Douillard et al. 2023) does not replace the weights by the average. It keeps *outer* weights. The
*pseudo-gradient* is the difference outer - average. An outer optimiser, SGD with Nesterov's momentum, runs a
step with the pseudo-gradient. With outer rate 1 and momentum 0, the outer step sets the weights to the
average. Streaming DiLoCo (Douillard et al. 2025) sends the weights in fragments at different times, so the
peak of the traffic is lower:

    every=4, fragments=2        step   1  2  3  4  5  6  7  8
                                sent      b     a     b     a
"""

# n: number of weights

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minipar.comm.collectives import all_reduce, even_counts
from minipar.comm.protocol import Communicator
from minipar.errors import ConfigError, ShapeError

Inner = Callable[[np.ndarray, int], None]                       # (weights [n], step): one local step in place


class Outer:
    """The outer optimiser is SGD with Nesterov's momentum.

    Its step is v = momentum v + g, then weights -= rate (g + momentum v). Rate 1 and momentum 0 set the
    weights to the average. DiLoCo's authors use rate 0.7 and momentum 0.9.
    """

    def __init__(self, rate: float = 1.0, momentum: float = 0.0) -> None:
        if not rate > 0 or not 0 <= momentum < 1:
            raise ConfigError(f"an outer rate of {rate} and momentum of {momentum}: the rate must be "
                              "positive, the momentum in [0, 1)")
        self.rate, self.momentum = rate, momentum
        self.velocity: np.ndarray | None = None

    def step(self, weights: np.ndarray, pseudo_gradient: np.ndarray, span: slice) -> None:
        """Change weights[span] in place. pseudo_gradient: the pseudo-gradient of this span."""
        if self.velocity is None:
            self.velocity = np.zeros_like(weights)
        velocity = self.velocity[span]
        velocity *= self.momentum
        velocity += pseudo_gradient
        weights[span] -= self.rate * (pseudo_gradient + self.momentum * velocity)


def train_locally(comm: Communicator, weights: np.ndarray, inner: Inner, *, steps: int, every: int,
                  outer: Outer | None = None, fragments: int = 1) -> np.ndarray:
    """Returns the outer weights [n] after `steps` local steps, bitwise equal on all ranks. All ranks call
    this function.

    weights: float [n], equal on all ranks. During training they are this rank's local weights; at the end
    they are the outer weights. inner: one step of this rank's optimiser on its own data. Changes that were
    not sent yet are sent after the last step. Raises ConfigError for numbers that are not positive, or for
    more fragments than steps between two averages.

    >>> import minipar as mp
    >>> def train(comm):        # each rank moves w towards its own number; the average is in the middle
    ...     def inner(w, step):
    ...         w -= 0.5 * (w - comm.rank)
    ...     return train_locally(comm, np.zeros(1), inner, steps=40, every=4)
    >>> [float(w[0].round(6)) for w in mp.run(2, train)]
    [0.5, 0.5]
    """
    if steps < 1 or every < 1 or not 1 <= fragments <= every:
        raise ConfigError(f"{steps} steps, an average every {every} steps, {fragments} fragments: give "
                          "positive numbers, and no more fragments than steps between two averages")
    if weights.ndim != 1 or weights.dtype.kind != "f" or weights.size < fragments:
        raise ShapeError(f"local training needs one float vector of at least {fragments} weights, not "
                         f"{weights.dtype} of shape {weights.shape}")
    outer = outer or Outer()
    ends = np.cumsum([0, *even_counts(weights.size, fragments)])
    spans = [slice(int(start), int(end)) for start, end in zip(ends[:-1], ends[1:], strict=True)]
    outer_weights = weights.copy()
    for step in range(1, steps + 1):
        inner(weights, step - 1)
        for number, span in enumerate(spans):
            due = (step + number * every // fragments) % every == 0
            if due or step == steps:
                synchronise(comm, weights, outer_weights, span, outer)
    return weights


def synchronise(comm: Communicator, weights: np.ndarray, outer_weights: np.ndarray, span: slice,
                outer: Outer) -> None:
    """Run one outer step. The pseudo-gradient is the mean of outer - local weights over the ranks. Afterwards
    local and outer weights are equal.
    """
    pseudo_gradient = all_reduce(comm, outer_weights[span] - weights[span], "mean", label="pseudo-gradient")
    outer.step(outer_weights, pseudo_gradient, span)
    weights[span] = outer_weights[span]
