"""Simulates a stream of requests: the real engine runs with a clock instead of a model.

The engine schedules as usual. Its runner (which normally computes the model) only adds the predicted seconds
of each step to a clock. Requests arrive on the same clock. So a policy can be tested for a machine that is
not available, and a second is enough to simulate an hour.

    clock 0.0   request 0 arrives      step of its 3 prompt tokens      0.2 s
    clock 0.1   request 1 arrives      (waits for the end of the step)
    clock 0.2   step of request 0's token and of request 1's prompt     0.3 s
"""

# m rows whose logits are needed, V vocabulary

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np

from minipar.config import ModelConfig
from minipar.errors import ConfigError
from minipar.inference.batch import RowBatch
from minipar.inference.engine import Engine
from minipar.inference.paged_cache import PagedCache
from minipar.inference.queueing.latency import RequestTimes
from minipar.inference.queueing.policies import ServingPolicy
from minipar.inference.queueing.step_time import StepShape, StepTime, step_shape
from minipar.inference.queueing.workload import TimedRequest
from minipar.inference.runner import Runner

SYMBOLS = 256                                                       # the vocabulary of simulated requests


class SimulatedStep(NamedTuple):
    """One step of the simulation. began, seconds: the start and the duration of the forward pass and of the
    copies before it, in seconds. running: the number of requests that have blocks.
    """

    began: float
    seconds: float
    shape: StepShape
    running: int


@dataclass(frozen=True)
class SimulatedStream:
    """The result of a simulation. times: the times of each request, in the order of the requests.
    preemptions: how often a request lost its blocks. shared_tokens: the number of prompt tokens that were not
    computed again, because other requests had computed them.
    """

    times: list[RequestTimes]
    steps: list[SimulatedStep]
    preemptions: int
    shared_tokens: int


class ClockedRunner(Runner, Protocol):
    """The interface of a runner that records the shape and the seconds of each forward pass. clock: the time
    in seconds. A caller may set it forward.
    """

    clock: float
    steps: list[tuple[StepShape, float]]


class SimulatedRunner:
    """A ClockedRunner whose forward pass only advances the clock."""

    def __init__(self, model: ModelConfig, block_size: int, step_time: StepTime):
        self.config = replace(model, vocabulary=SYMBOLS)
        self.caches: Sequence[PagedCache] = [SimulatedCache(self, block_size)]
        self.step_time, self.clock = step_time, 0.0
        self.steps: list[tuple[StepShape, float]] = []

    def run(self, batch: RowBatch) -> np.ndarray:
        """Return logits [m, V] that are all 0."""
        shape = step_shape(batch)
        seconds = self.step_time.forward(shape)
        self.steps.append((shape, seconds))
        self.clock += seconds
        return np.zeros((len(batch.wanted), SYMBOLS))


class SimulatedCache(PagedCache):
    """A cache without arrays. `save` and `load` only advance the clock."""

    def __init__(self, runner: SimulatedRunner, block_size: int):
        super().__init__([], 0, block_size, np.dtype(np.float32))
        self._runner = runner

    def save(self, blocks: Sequence[int]) -> list[np.ndarray]:
        """Advance the clock by the time to copy the blocks out."""
        self._runner.clock += self._runner.step_time.swap(len(blocks) * self.block_size)
        return []

    def load(self, blocks: Sequence[int], saved: Sequence[np.ndarray]) -> None:
        """Advance the clock by the time to copy the blocks back."""
        self._runner.clock += self._runner.step_time.swap(len(blocks) * self.block_size)


def simulate_stream(model: ModelConfig, requests: Sequence[TimedRequest], policy: ServingPolicy,
                    step_time: StepTime) -> SimulatedStream:
    """Serve the requests under a policy. requests: in the order of their arrival.

    The result is deterministic. Raises ConfigError if a request has several samples, or does not fit the
    engine.

    >>> import minipar as mp
    >>> from minipar.inference.queueing.policies import serving_policies
    >>> from minipar.inference.queueing.simulate import simulate_stream
    >>> from minipar.inference.queueing.step_time import LinearTime
    >>> from minipar.inference.queueing.workload import TimedRequest
    >>> requests = [TimedRequest(arrival, mp.TextRequest([1, 2], 2)) for arrival in (0.0, 1.5)]
    >>> policy = serving_policies(batch=4, context=8, chunk=8)["continuous"]
    >>> found = simulate_stream(mp.ModelConfig(context=8), requests, policy, LinearTime(fixed=1.0))
    >>> [one.tokens for one in found.times]                         # both share the step from 2 to 3
    [(1.0, 2.0), (3.0, 4.0)]
    """
    return serve_stream(SimulatedRunner(model, policy.options.block_size, step_time), requests, policy)


def serve_stream(runner: ClockedRunner, requests: Sequence[TimedRequest], policy: ServingPolicy
                 ) -> SimulatedStream:
    """Serve the requests like `simulate_stream`, but with the runner `runner` and its clock. For example, a
    TimedRunner computes a real model and measures the time.
    """
    if any(one.request.samples > 1 for one in requests):
        raise ConfigError("a request of several samples has no single time; give requests of one sample",
                          item="samples")
    engine = Engine(runner, options=policy.options)
    future = deque(requests)
    started: dict[int, float] = {}
    tokens: list[list[float]] = [[] for _ in requests]
    steps: list[SimulatedStep] = []
    while future or engine.busy:
        if not engine.busy:
            runner.clock = max(runner.clock, future[0].arrival)
        _enter(engine, future, runner.clock, policy)
        began = runner.clock
        new = engine.step()
        running = {one.number for one in engine.scheduler.running} | {token.request for token in new}
        for number in running:
            started.setdefault(number, began)
        for token in new:
            tokens[token.request].append(runner.clock)
        steps.append(SimulatedStep(began, runner.clock - began, runner.steps[-1][0], len(running)))
    times = [RequestTimes(one.arrival, tuple(found), started[number])
             for number, (one, found) in enumerate(zip(requests, tokens, strict=True))]
    return SimulatedStream(times, steps, engine.memory.preemptions, engine.memory.shared_tokens)


def _enter(engine: Engine, future: deque[TimedRequest], clock: float, policy: ServingPolicy) -> None:
    """Add the requests that have arrived until now to the engine. With static batches, add at most one batch,
    and only if the engine is idle.
    """
    if policy.static and engine.busy:
        return
    room = policy.options.batch if policy.static else len(future)
    while future and room and future[0].arrival <= clock:
        engine.add(future.popleft().request)
        room -= 1
