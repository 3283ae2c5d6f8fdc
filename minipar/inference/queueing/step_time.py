"""Predicts the seconds of a forward pass from its rows (tokens).

**Roofline** (Williams et al. 2009). A pass reads all weights and the keys and values of its texts from
memory, and it computes products. The slower of these two determines its time:

    seconds = overhead + max(FLOPs / rate, bytes / memory rate)

Example: a model has 1 billion weights of 2 bytes; the machine has a memory rate of 1 TB/s and 100 TFLOP/s.
Decoding one text reads 2 GB in 2 ms, and computes 2 GFLOP in 0.02 ms. So memory is the limit for batches of
up to 100 texts.

**Measured**. `fitted_time` fits three numbers to measured passes: the seconds per pass, per row, and per pair
of a query and a key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import thread_time
from typing import NamedTuple, Protocol

import numpy as np

from minipar.config import ModelConfig
from minipar.errors import ConfigError
from minipar.inference.batch import RowBatch
from minipar.inference.runner import Runner
from minipar.plan.counts import architecture, causal_pairs, forward_flops, parameter_counts
from minipar.plan.machine import Machine


class StepShape(NamedTuple):
    """The shape of a forward pass, as four numbers. rows: computed tokens. wanted: rows whose logits are
    computed. pairs: pairs of a query and a key in one head. cached: tokens whose keys and values are read.
    """

    rows: int
    wanted: int
    pairs: int
    cached: int


def step_shape(batch: RowBatch) -> StepShape:
    """Return the shape of a batch. Example: 3 rows at the positions 5, 6, 7 have 6 + 7 + 8 = 21 pairs."""
    pairs = sum(causal_pairs(span.length) - causal_pairs(span.position) for span in batch.spans)
    return StepShape(len(batch.tokens), len(batch.wanted), pairs, sum(span.length for span in batch.spans))


class StepTime(Protocol):
    """The interface of a prediction of times, in seconds."""

    def forward(self, shape: StepShape) -> float:
        """Return the seconds of one forward pass."""

    def swap(self, tokens: int) -> float:
        """Return the seconds to copy the keys and values of `tokens` tokens to the host's memory, or back."""


class RooflineTime:
    """Predicts the times of a model on one rank of a machine with the roofline. itemsize: the bytes of a
    weight, and of a number in the cache.

    >>> from minipar.inference.queueing.step_time import RooflineTime, StepShape
    >>> from minipar.plan.machine import machine
    >>> from minipar.plan.models import MODELS
    >>> time = RooflineTime(MODELS["llama-7b"], machine("a100-80g"))
    >>> one, many = (time.forward(StepShape(b, b, 100 * b, 100 * b)) for b in (1, 32))
    >>> many < 2 * one                                      # both passes read all weights once
    True
    """

    def __init__(self, model: ModelConfig, machine: Machine, itemsize: int = 2):
        sizes, kinds = architecture(model), forward_flops(model, 1, 1, lambda T: 0)
        self._head = kinds.pop("head")                              # FLOPs per wanted row
        self._row = sum(kinds.values())
        self._pair = 4 * sizes.layers * sizes.width
        counts = parameter_counts(model)
        read = sum(counts[kind] for kind in ("norms", "qkv", "out", "up", "down"))
        self._weights = itemsize * (read + sizes.vocabulary * sizes.width)  # also a tied head is read
        self.token_bytes = itemsize * 2 * sizes.layers * sizes.kv_width
        self._machine = machine
        self._overhead = machine.launch * sizes.layers / 3          # forward is a third of a training step

    def forward(self, shape: StepShape) -> float:
        """Return the seconds of one forward pass."""
        flops = self._row * shape.rows + self._head * shape.wanted + self._pair * shape.pairs
        moved = self._weights + self.token_bytes * shape.cached
        return self._overhead + max(flops / self._machine.rate, moved / self._machine.memory_rate)

    def swap(self, tokens: int) -> float:
        """Return the seconds to copy the keys and values of `tokens` tokens over the link to the host."""
        return tokens * self.token_bytes / self._machine.host_rate


@dataclass(frozen=True)
class LinearTime:
    """Predicts fixed + per_row * rows + per_pair * pairs seconds for a forward pass. swapped: the seconds to
    copy the keys and values of one token.

    >>> from minipar.inference.queueing.step_time import LinearTime, StepShape
    >>> LinearTime(fixed=1.0, per_row=0.5).forward(StepShape(rows=4, wanted=4, pairs=10, cached=10))
    3.0
    """

    fixed: float = 0.0
    per_row: float = 0.0
    per_pair: float = 0.0
    swapped: float = 0.0

    def forward(self, shape: StepShape) -> float:
        """Return the seconds of one forward pass."""
        return self.fixed + self.per_row * shape.rows + self.per_pair * shape.pairs

    def swap(self, tokens: int) -> float:
        """Return the seconds to copy the keys and values of `tokens` tokens."""
        return self.swapped * tokens


class TimedRunner:
    """A runner that records the shape and the seconds of each forward pass, and adds the seconds to its
    clock.

    The seconds are CPU time, because other programs disturb it less than wall-clock time.
    """

    def __init__(self, runner: Runner):
        self._runner, self.config, self.caches = runner, runner.config, runner.caches
        self.steps: list[tuple[StepShape, float]] = []
        self.clock = 0.0

    def run(self, batch: RowBatch) -> np.ndarray:
        """Run a forward pass, record its shape and seconds, and return its logits."""
        began = thread_time()
        logits = self._runner.run(batch)
        self.steps.append((step_shape(batch), thread_time() - began))
        self.clock += self.steps[-1][1]
        return logits


def fitted_time(steps: Sequence[tuple[StepShape, float]]) -> LinearTime:
    """Return the LinearTime that fits measured passes best: the sum of squared relative errors is smallest.
    If a term would be negative, it is left out.

    Raises ConfigError if there are no steps.
    """
    if not steps:
        raise ConfigError("no forward pass was measured; run the engine first", item="steps")
    terms = np.array([(1 / seconds, shape.rows / seconds, shape.pairs / seconds) for shape, seconds in steps])
    used, found = [0, 1, 2], np.zeros(3)
    while used:
        least = np.linalg.lstsq(terms[:, used], np.ones(len(steps)), rcond=None)[0]
        if least.min() >= 0:
            found[used] = least
            break
        del used[int(least.argmin())]
    return LinearTime(*found.tolist())
