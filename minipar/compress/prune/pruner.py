"""Prunes during training. A schedule increases the sparsity (the fraction of dropped weights) step by step.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np

from minipar.compress.prune.mask import Mask, Masked
from minipar.compress.prune.order import UNSHARDED, Shards
from minipar.compress.prune.select import magnitude_mask
from minipar.errors import ConfigError


class MagnitudePruner:
    """Drops the weights with the smallest magnitudes, with a new mask every `every` steps (Zhu and Gupta
    2017).

        optimizer = Masked(AdamW(flat), Mask({}))
        pruner = MagnitudePruner(optimizer, names, lambda step: cubic_sparsity(step, final=0.9, steps=500))
        each step: ..., optimizer.step(lr), pruner.step()
        pruner.stripped()

    names: the names of the parameters to prune. schedule(n): returns the sparsity after n calls of `step`.
    per_layer, shards: see drop_lowest in select.py. Raises ConfigError for a name that is not in the
    optimiser.
    """

    def __init__(self, optimizer: Masked, names: Collection[str], schedule: Callable[[int], float], *,
                 every: int = 1, per_layer: bool = False, shards: Shards = UNSHARDED):
        if unknown := sorted(set(names) - {p.name for p in optimizer.flat.parameters}):
            raise ConfigError("MagnitudePruner: the optimiser has no parameter "
                              f"{' and no '.join(unknown[:3])}")
        self.optimizer, self.names, self.schedule = optimizer, names, schedule
        self.every, self.per_layer, self.shards = every, per_layer, shards
        self.began, self.steps = optimizer.steps, 0

    def step(self) -> None:
        """Call this method after each step of the optimiser. Raises ConfigError if an earlier call is
        missing.
        """
        self.steps += 1
        self._require_every_step()
        if self.steps % self.every == 0:
            mask = magnitude_mask(self._weights(), self.schedule(self.steps), per_layer=self.per_layer,
                                  shards=self.shards)
            self.optimizer.use(mask)

    @property
    def mask(self) -> Mask:
        return self.optimizer.mask

    def stripped(self) -> dict[str, np.ndarray]:
        """Returns name -> a copy of the weights, in which dropped weights are zero. Raises ConfigError if a
        call of `step` is missing.
        """
        self._require_every_step()
        return {name: weight.copy() for name, weight in self._weights().items()}

    def _weights(self) -> dict[str, np.ndarray]:
        weights = self.optimizer.flat.weights_by_name()
        return {name: weights[name] for name in self.names}

    def _require_every_step(self) -> None:
        taken = self.optimizer.steps - self.began
        if taken != self.steps:
            raise ConfigError(f"MagnitudePruner: the optimiser took {taken} steps, and step() was called "
                              f"{self.steps} times; "
                              f"call pruner.step() after each optimizer.step(lr)")
