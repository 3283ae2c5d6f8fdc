"""Train a GPT with a parameter server (asynchronous/parameter_server.py) instead of an all-reduce.

Each worker is a Trainer of one process, and computes the gradient of its samples of the global batch:

    batch 0, 6 samples     worker 0: samples 0 1     worker 1: samples 2 3     worker 2: samples 4 5

Every worker divides its loss by the number of counted targets of the global batch. So the sum of the
gradients is the gradient of the batch. A synchronous server adds the gradients and runs one step of the
optimiser. The result is bitwise equal to data parallelism with the `naive` all-reduce. An asynchronous server
runs one step for each gradient that arrives. With SGD, the steps for one batch add up to about one step of
data parallelism. The sum is not exact, because some gradients are stale (computed with older weights). Adam
and AdamW make a full step for each gradient, so divide the learning rate by the number of workers.
"""

# N: tokens of the text, n: number of weights, k: number of weights of a span

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from minipar.asynchronous.parameter_server import (
    Applied,
    Seconds,
    ServerOptions,
    one_second,
    require_possible,
    spans_of,
    train_with_server,
)
from minipar.comm.collectives import all_reduce, even_counts
from minipar.comm.protocol import Communicator
from minipar.comm.solo import solo
from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.data.tokenizer import Tokenizer
from minipar.errors import ConfigError, DivergenceError, LayoutError
from minipar.optim import Flat, Run
from minipar.parallel.grid import Grid
from minipar.parallel.shards import overlap
from minipar.training.build import build_optimizer, learning_rate, samples_of
from minipar.training.trainer import Trainer


class ServedTraining(NamedTuple):
    """Holds the result of a training run with servers. `weights` is the final state, for
    `GPT.load_state_dict`. `losses` is the loss of each step in nats per target, float64 [steps]; each worker
    computes its part with the weights that it pulled. `applied` lists all gradients in the order in which the
    server applied them.
    """

    weights: dict[str, np.ndarray]
    losses: np.ndarray
    applied: list[Applied]


def train_gpt_with_server(comm: Communicator, model: ModelConfig, train: TrainConfig, tokenizer: Tokenizer,
                          tokens: np.ndarray, *, servers: int = 1, synchronous: bool = False,
                          bound: int | None = None, seconds: Seconds = one_second) -> ServedTraining:
    """Train for `train.steps` batches. All ranks call this function together and get the same result.

    `tokens` is the text, integers [N]. `servers` is the number of servers, which are the ranks 0 to servers -
    1. The other ranks are workers. ServerOptions describes `synchronous`, `bound` and `seconds`. Raises
    ConfigError for options that a server cannot use, LayoutError if workers have no samples, DivergenceError
    if a loss is not finite. Raises also the errors of Trainer.

    >>> import minipar as mp
    >>> text = "to be or not to be, " * 40
    >>> letters = mp.make_tokenizer("char", text)
    >>> model = mp.ModelConfig(vocabulary=letters.vocab_size, context=8, layers=1, heads=1, width=8)
    >>> config = mp.TrainConfig(batch=4, steps=3, clip=0.0, optimizer="sgd")
    >>> def training(comm):         # one server, two workers
    ...     return train_gpt_with_server(comm, model, config, letters, letters.encode(text))
    >>> result = mp.run(3, training)[0]
    >>> result.losses.shape, [one.staleness for one in result.applied]
    ((3,), [0, 1, 1, 1, 1, 1])
    """
    options = ServerOptions(train.steps, servers, synchronous, bound, seconds)
    require_possible(comm, options)
    workers = comm.size - servers
    _require_usable(train, workers)
    worker = Worker(model, train, tokenizer, tokens, max(comm.rank - servers, 0), workers)
    spans = spans_of(worker.flat.data.size, servers)
    update = ServerStep(train, worker.flat, spans[min(comm.rank, servers - 1)], 1 if synchronous else workers)
    final, applied = train_with_server(comm, worker.flat.data.copy(), worker.gradient_of_step, update,
                                       options)
    worker.flat.data[...] = final
    weights = {name: array.copy() for name, array in worker.flat.weights_by_name().items()}
    losses = all_reduce(comm, worker.losses, label="losses", algorithm="naive")
    return ServedTraining(weights, losses, applied)


class Worker(Trainer):
    """A worker is the Trainer of one process for its samples of each global batch. `losses` [steps] is its
    part of the loss of each step. On a server, all losses are zero.
    """

    def __init__(self, model: ModelConfig, train: TrainConfig, tokenizer: Tokenizer, tokens: np.ndarray,
                 worker: int, workers: int):
        super().__init__(model, train, tokenizer, tokens, Grid(solo(), Layout()))
        self.shares = even_counts(train.batch, workers)
        self.rows = samples_of(worker, self.shares)
        self.losses = np.zeros(train.steps)

    @np.errstate(all="ignore")  # NaN and infinity are detected below
    def gradient_of_step(self, worker: int, step: int, weights: np.ndarray) -> np.ndarray:
        """Returns the gradient [n] of this worker's samples of batch `step`. weights [n]: the pulled weights.
        """
        self.flat.data[...] = weights
        self.steps_done = step
        self.losses[step] = self.gradient(*self.batches.get(step))
        if not math.isfinite(self.losses[step]):
            raise DivergenceError(f"worker {worker}, step {step}: the loss is {self.losses[step]:g}; try a "
                                  "lower lr", step=step)
        return self.flat.gradient()


class ServerStep:
    """Runs the update of a server: one step of the optimiser on the server's span of the weights.

    per_step: the number of updates after which the learning rate changes.
    """

    def __init__(self, train: TrainConfig, flat: Flat, span: slice, per_step: int):
        self.optimizer, self.span = build_optimizer(train, flat), span
        self.rate, self.per_step = learning_rate(train), per_step
        # the parts of the span, as pairs (slice, decays); decays: whether the part has weight decay
        self.parts = [(mine, run.decays) for run in flat.runs() if (mine := overlap(run.state, span))]

    def __call__(self, weights: np.ndarray, gradient: np.ndarray, staleness: int) -> None:
        """Change the weights [k] of the span with a gradient [k]."""
        start = self.span.start
        runs = [Run(weights[mine], gradient[mine], slice(start + mine.start, start + mine.stop), decays)
                for mine, decays in self.parts]
        self.optimizer.step_on(runs, self.rate(self.optimizer.steps // self.per_step))


def _require_usable(train: TrainConfig, workers: int) -> None:
    if train.clip:
        raise ConfigError(f"clip is {train.clip}, but a server applies gradients before the norm of all of "
                          "them is known; set clip=0", item="clip")
    if train.precision == "float16":
        raise ConfigError("float16 needs one loss scale for all workers, but workers do not wait for each "
                          "other; choose bfloat16 or float32", item="precision")
    if workers > train.batch:
        raise LayoutError(f"a batch of {train.batch} over {workers} workers leaves some without samples; "
                          "choose a larger batch", item="batch")
