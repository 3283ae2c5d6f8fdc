"""With a parameter server, some ranks hold the weights, and other ranks compute gradients (Li et al. 2014,
"Scaling distributed machine learning with the parameter server").

    worker:  pull weights -> compute a gradient -> push it -> pull -> ...
    server:  apply each gradient when it arrives, and answer with the new weights

With several servers, each server holds a slice of the weights. Between a worker's pull and its push, other
workers also push. The number of updates from other workers in this time is the *staleness* of the worker's
gradient.

    worker 1   |--- gradient of version 0 ---|push            staleness 1, because of the update of worker 2
    worker 2   |--- version 0 ---|push                        staleness 0
    version     0                 1           2

There are three modes:
    asynchronous    every gradient is applied immediately
    bound=b         a worker waits when it is more than b steps ahead of the slowest (Ho et al. 2013, "stale
                    synchronous parallel")
    synchronous     the server adds the gradients of all workers in the order of their ranks, and makes one
                    update; this is plain data parallelism, bitwise equal to the `naive` all-reduce

Time is virtual, so a run has the same bits with threads and with processes. `seconds(worker, step)` is the
time that a worker needs for one gradient. Each push contains the time at which the gradient is complete. The
server first receives one push from each computing worker, and then applies the earliest push. A push that is
received later never has an earlier time, because the times of each worker's pushes increase. If times are
equal, the worker with the lower number comes first.

For n weights and p workers, each worker sends n numbers and receives n numbers per step. All servers together
send and receive 2 p n numbers. In a ring all-reduce, each rank sends only 2 (p - 1) / p n numbers.
"""

# n: number of weights

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from minipar.comm.collectives import broadcast, even_counts
from minipar.comm.collectives.gather_values import same_everywhere
from minipar.comm.protocol import Communicator
from minipar.errors import ConfigError, ShapeError, shown
from minipar.records import is_number, is_whole

Gradient = Callable[[int, int, np.ndarray], np.ndarray]         # (worker, step, weights [n]) -> gradient [n]
Update = Callable[[np.ndarray, np.ndarray, int], None]          # (weights [n], gradient, staleness): in place
Seconds = Callable[[int, int], float]                           # (worker, step) -> seconds of a gradient


class Applied(NamedTuple):
    """Describes one gradient that the server applied. time: virtual seconds. staleness: the number of updates
    since the worker pulled the weights.
    """

    time: float
    worker: int
    step: int
    staleness: int


def sgd(lr: float) -> Update:
    """Returns an update that computes weights -= lr * gradient and ignores the staleness."""
    def update(weights: np.ndarray, gradient: np.ndarray, staleness: int) -> None:
        weights -= lr * gradient
    return update


def one_second(worker: int, step: int) -> float:
    """Returns the same time for all workers."""
    return 1.0


@dataclass
class ServerOptions:
    """Holds the options of a training run with servers.

    steps: the number of gradients per worker. servers: the number of servers, which are the ranks 0 to
    servers - 1. The other ranks are workers. synchronous, bound: the mode, see the module docstring. seconds:
    the time of a gradient.
    """

    steps: int
    servers: int = 1
    synchronous: bool = False
    bound: int | None = None
    seconds: Seconds = field(default=one_second)


def train_with_server(comm: Communicator, weights: np.ndarray, gradient: Gradient, update: Update,
                      options: ServerOptions) -> tuple[np.ndarray, list[Applied]]:
    """Returns the final weights [n] and all applied gradients in order, equal on every rank. All ranks call
    this function.

    weights: the initial weights, float [n], equal on all ranks. They are not changed. Raises ConfigError if
    there is no worker or no server, or for a negative bound. Raises ShapeError for weights or gradients of
    another shape.

    >>> import minipar as mp
    >>> def train(comm):        # the loss (w - 3)**2 / 2, one server, two workers
    ...     options = ServerOptions(steps=20)
    ...     return train_with_server(comm, np.zeros(1), lambda worker, step, w: w - 3, sgd(0.3), options)
    >>> final, applied = mp.run(3, train)[0]
    >>> bool(abs(final[0] - 3) < 1e-3), [one.staleness for one in applied[:4]]
    (True, [0, 1, 1, 1])
    """
    require_possible(comm, options)
    if weights.ndim != 1 or weights.dtype.kind != "f" or weights.size < options.servers:
        raise ShapeError(f"a parameter server needs one float vector of at least {options.servers} weights, "
                         f"not {weights.dtype} of shape {weights.shape}")
    spans = spans_of(weights.size, options.servers)
    final, applied = weights.copy(), np.empty((0, 4))
    if comm.rank < options.servers:
        server = Server(comm, final[spans[comm.rank]], update, options)
        server.serve()
        applied = np.array(server.applied, np.float64).reshape(-1, 4)
    else:
        _work(comm, spans, final, gradient, options)
    for rank, span in enumerate(spans):
        final[span] = broadcast(comm, final[span].copy(), root=rank, label="final weights")
    count = (comm.size - options.servers) * options.steps
    table = broadcast(comm, applied if comm.rank == 0 else np.empty((count, 4)), root=0,
                      label="applied gradients")
    return final, [Applied(time, int(worker), int(step), int(old))
                   for time, worker, step, old in table.tolist()]


def spans_of(n: int, servers: int) -> list[slice]:
    """Returns the slice of the n weights that each server holds.

    >>> spans_of(5, 2)
    [slice(0, 3, None), slice(3, 5, None)]
    """
    ends = np.cumsum([0, *even_counts(n, servers)]).tolist()
    return [slice(start, end) for start, end in pairwise(ends)]


def require_possible(comm: Communicator, options: ServerOptions) -> None:
    """Raises ConfigError if there is no worker or no server, for numbers that are not positive, or if the
    ranks have different options. All ranks call this function.
    """
    numbers = {"steps": options.steps, "servers": options.servers, "bound": options.bound}
    for name, number in numbers.items():
        if not (is_whole(number) or (name == "bound" and number is None)):
            raise ConfigError(f"{name} is {shown(number)}; it must be a whole number", item=name)
    if not 1 <= options.servers < comm.size:
        raise ConfigError(f"{options.servers} servers of {comm.size} ranks: choose 1 to {comm.size - 1}, so "
                          "that there is a worker", item="servers")
    if options.bound is not None and options.bound < 0:
        raise ConfigError(f"with a bound of {options.bound} steps no worker can compute; give 0 or more",
                          item="bound")
    if options.steps < 1:
        raise ConfigError(f"{options.steps} steps: give 1 or more", item="steps")
    if not same_everywhere(comm, [*map(str, numbers.values()), bool(options.synchronous)], "server options"):
        raise ConfigError("the ranks have different servers, steps or bounds; give all ranks the same "
                          "options", item="options")


def _work(comm: Communicator, spans: list[slice], weights: np.ndarray, gradient: Gradient,
          options: ServerOptions) -> None:
    """Runs the loop of a worker. A push has a header (time, version, step) and a server's slice of the
    gradient.
    """
    worker = comm.rank - options.servers
    for step in range(options.steps):
        header = np.empty(2)                                        # time and version
        for server, span in enumerate(spans):
            comm.recv(header, server, label="pull header")
            weights[span] = comm.recv(np.empty_like(weights[span]), server, label="pull")
        pushed = np.ascontiguousarray(gradient(worker, step, weights), weights.dtype)
        if pushed.shape != weights.shape:
            raise ShapeError(f"the gradient of worker {worker} has shape {pushed.shape}, the weights "
                             f"{weights.shape}")
        time, version = header.tolist()
        seconds = options.seconds(worker, step)
        if not (is_number(seconds) and 0 <= seconds < math.inf):
            raise ConfigError(f"seconds({worker}, {step}) is {shown(seconds)}; a gradient takes 0 seconds or "
                              "more", item="seconds")
        end = np.array([time + seconds, version, step])
        for server, span in enumerate(spans):
            comm.send(end, server, label="push header")
            comm.send(np.ascontiguousarray(pushed[span]), server, label="push")


class Push(NamedTuple):
    """Holds a gradient that has arrived but is not applied yet. version: the version of the weights with
    which the gradient was computed.
    """

    time: float
    version: int
    step: int
    gradient: np.ndarray


class Server:
    """Runs one server. It holds a slice of the weights, and the pushes that have arrived."""

    def __init__(self, comm: Communicator, weights: np.ndarray, update: Update,
                 options: ServerOptions) -> None:
        self.comm, self.weights, self.update, self.options = comm, weights, update, options
        self.workers = range(comm.size - options.servers)
        self.steps_done = [0] * len(self.workers)                   # applied gradients per worker
        self.version, self.arrived = 0, dict[int, Push]()
        self.held: set[int] = set()                                 # workers that wait, see may_go_on
        self.applied: list[Applied] = []

    def serve(self) -> None:
        for worker in self.workers:
            self.answer(worker, 0.0)
        while min(self.steps_done) < self.options.steps:
            for worker in self.workers:
                computes = self.steps_done[worker] < self.options.steps and worker not in self.held
                if computes and worker not in self.arrived:
                    self.arrived[worker] = self._receive(worker)
            if self.options.synchronous:
                self._apply_all()
            else:
                self._apply_earliest()

    def _apply_all(self) -> None:
        """Make one update with the sum of all gradients, added in the order of the workers."""
        pushes = [self.arrived.pop(worker) for worker in self.workers]
        total = pushes[0].gradient.copy()
        for push in pushes[1:]:
            total += push.gradient
        time = max(push.time for push in pushes)
        self.apply(total, 0)
        for worker, push in zip(self.workers, pushes, strict=True):
            self._record(time, worker, push, 0)
            if self.steps_done[worker] < self.options.steps:
                self.answer(worker, time)

    def _apply_earliest(self) -> None:
        worker = self.earliest()
        push = self.arrived.pop(worker)
        staleness = self.staleness(push)
        self.apply(push.gradient, staleness)
        self._record(push.time, worker, push, staleness)
        if self.steps_done[worker] < self.options.steps:
            self.held.add(worker)
        for ready in sorted(worker for worker in self.held if self.may_go_on(worker)):
            self.held.remove(ready)
            self.answer(ready, push.time)

    def earliest(self) -> int:
        """Returns the worker whose gradient ended first."""
        return min(self.arrived, key=lambda worker: (self.arrived[worker].time, worker))

    def staleness(self, push: Push) -> int:
        """Returns the number of updates since the weights of this gradient were pulled."""
        return self.version - push.version

    def apply(self, gradient: np.ndarray, staleness: int) -> None:
        """Make the next version of the weights."""
        self.update(self.weights, gradient, staleness)
        self.version += 1

    def may_go_on(self, worker: int) -> bool:
        bound = self.options.bound
        return bound is None or self.steps_done[worker] <= min(self.steps_done) + bound

    def _record(self, time: float, worker: int, push: Push, staleness: int) -> None:
        self.steps_done[worker] += 1
        self.applied.append(Applied(time, worker, push.step, staleness))

    def answer(self, worker: int, time: float) -> None:
        rank = worker + self.options.servers
        self.comm.send(np.array([time, self.version]), rank, label="pull header")
        self.comm.send(self.weights.copy(), rank, label="pull")

    def _receive(self, worker: int) -> Push:
        rank = worker + self.options.servers
        time, version, step = self.comm.recv(np.empty(3), rank, label="push header").tolist()
        gradient = self.comm.recv(np.empty_like(self.weights), rank, label="push")
        return Push(time, int(version), int(step), gradient)
