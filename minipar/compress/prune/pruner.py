"""Pruning while training: the mask grows with a schedule, and fine-tuning goes on all the time."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np

from minipar.compress.prune.mask import Mask, Masked
from minipar.compress.prune.order import UNSHARDED, Shards
from minipar.compress.prune.select import magnitude_mask
from minipar.errors import ConfigError


class MagnitudePruner:
    """Calls for a new mask every so many steps: magnitude pruning by a schedule (Zhu and Gupta 2017).

        optimizer = Masked(AdamW(flat), Mask({}))
        pruner = MagnitudePruner(optimizer, names, lambda step: cubic_sparsity(step, final=0.9, steps=500))
        each step: ..., optimizer.step(lr), pruner.step()
        pruner.stripped()

    names: of the parameters to prune. schedule: steps done with this pruner -> sparsity. shards: see
    drop_lowest. Raises ConfigError for a name that the optimiser does not know.
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
        """After each step of the optimiser. Raises ConfigError where steps were left out."""
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
        """Name -> a copy of the pruned weights, zeros in place. Raises ConfigError where the optimiser ran
        without `step`.
        """
        self._require_every_step()
        return {name: weight.copy() for name, weight in self._weights().items()}

    def _weights(self) -> dict[str, np.ndarray]:
        flat = self.optimizer.flat
        weights = flat.by_name(flat.data)
        return {name: weights[name] for name in self.names}

    def _require_every_step(self) -> None:
        done = self.optimizer.steps - self.began
        if done != self.steps:
            raise ConfigError(f"MagnitudePruner: the optimiser took {done} steps, and step() was called "
                              f"{self.steps} times; "
                              f"call pruner.step() after each optimizer.step(lr)")
