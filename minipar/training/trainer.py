"""Train a model. A training step runs forward and backward for micro-batches on all ranks, then the
optimiser.

The loss is the mean over the counted targets of the global batch. Padding is not counted. Every rank reads
the targets of the whole batch, so the loss of every micro-batch is divided by the same number. So the
gradients of micro-batches of any sizes add up to the gradient of the batch. Example: rank 0 has targets with
the losses 1 and 2, and rank 1 has a target with the loss 6. The result is 3/3 + 6/3 = 3, the mean of all
three. The mean of the two ranks' means, (1.5 + 6)/2 = 3.75, would be wrong.

See also `build.py` (the parts of a Trainer), `state.py` (checkpoints) and `fit.py` (the loop over the steps).
"""

# B: samples of the global batch, T: tokens per sample, m: micro-batches of a step, n: weights

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cache, cached_property, partial
from typing import Any

import numpy as np

from minipar.autograd import tokens_that_count
from minipar.comm.collectives import all_reduce, even_counts
from minipar.config import ModelConfig, TrainConfig
from minipar.data.tokenizer import Tokenizer
from minipar.errors import CheckpointError, DataError, DivergenceError, LayoutError
from minipar.nn import NO_DROPOUT, Dropout, Region
from minipar.optim import Flat, Optimizer, ParameterStore, clip
from minipar.parallel.bitwise import tree_sum
from minipar.parallel.grid import Grid
from minipar.parallel.norm import global_norm
from minipar.parallel.pipeline import Around, MicroBatch, Pipeline, nothing
from minipar.parallel.stages import schedule_of
from minipar.parallel.tensor import region_of
from minipar.precision import Autocast, LossScale, format_of, loss_scale_of
from minipar.schedules.generators import forward_only
from minipar.schedules.instruction import Schedule
from minipar.training.build import (
    TrainingData,
    build_optimizer,
    build_stages,
    build_store,
    learning_rate,
    pieces_of,
    require_trainable,
    samples_of,
    training_data,
)
from minipar.training.state import TrainingState, gather_arrays, load_arrays, require_same_model
from minipar.training.step_result import StepResult


class Trainer:
    """Trains on one rank, with its part of the model, of every batch and of the optimiser's state.

    All ranks of the grid create a Trainer and call the same methods in the same order. A step depends only on
    the seed, the number of the step, and the arrays and metadata of `state`. So a run that is restored from a
    checkpoint computes the same bits as a run without interruption.

    >>> import minipar as mp
    >>> text = "to be or not to be, " * 40
    >>> letters = mp.make_tokenizer("char", text)
    >>> model = mp.ModelConfig(vocabulary=letters.vocab_size, context=8, layers=1, heads=1, width=8)
    >>> config = mp.TrainConfig(batch=4, steps=2, validation_windows=2)
    >>> def steps(comm):
    ...     trainer = mp.Trainer(model, config, letters, letters.encode(text), mp.Grid(comm, mp.Layout(dp=2)))
    ...     return trainer.step().step, trainer.step().step
    >>> mp.run(2, steps)
    [(0, 1), (0, 1)]
    """

    def __init__(self, model: ModelConfig, train: TrainConfig, tokenizer: Tokenizer, tokens: np.ndarray,
                 grid: Grid, region: Region | None = None, watch: Around = nothing, *,
                 data: TrainingData | None = None, scale: LossScale | None = None,
                 optimizer: Callable[[ParameterStore], Optimizer] | None = None):
        """`tokens` is the text, integers [N].

        The other arguments replace parts that are otherwise built from the options. `region` shards the
        layers, by default over grid.tp. `watch` returns a context around each instruction of the pipeline.
        `data` supplies the batches, `optimizer` creates the optimiser from the store, and `scale` is the loss
        scale.

        Raises DataError if the text is too short for the context, LayoutError if ranks have no work,
        ScheduleError for an invalid schedule.

        Example: a batch of 6 samples, 4 micro-batches, 2 layers, dp=2 and pp=2 (4 ranks). On dp rank 1:

            shares, rows      shares is [3, 3], samples per dp rank; rows is [3, 4, 5], this rank's samples
            pieces()          [3], [4], [5], because 3 samples give at most 3 micro-batches
            schedule(3)       1F1B for 2 stages and 3 micro-batches
            stages            one stage with one layer, and with the embedding or the head
            store, reducer    the stage's parameters and gradients; the reducer sums the gradients over dp
        """
        require_trainable(grid.layout, train)
        self.model, self.config, self.tokenizer, self.tokens = model, train, tokenizer, tokens
        self.grid, self.watch = grid, watch
        self.batches, self.validation = data or training_data(tokens, model, train)
        self.shares = even_counts(train.batch, grid.dp.size)        # samples per rank of dp
        self.rows = samples_of(grid.dp.rank, self.shares)
        region = region or region_of(grid.tp, model.context, grid.layout.sequence_parallel)
        # number of micro-batches -> schedule; the cache makes sure that a schedule's file is read once
        self.schedule = cache(partial(schedule_of, grid.layout))
        self.pipelines: dict[Schedule, Pipeline] = {}
        bitwise = grid.layout.gradients == "bitwise"
        self.shards = grid.dp if grid.layout.zero else None         # the ranks that shard the gradient
        self.stages = build_stages(model, train, grid, region,
                                   self.schedule(1 if bitwise else len(self.pieces())))
        self.store, self.reducer = build_store(grid.layout, self.stages, grid.dp)
        self.optimizer = optimizer(self.store) if optimizer else build_optimizer(train, self.store)
        self.rate = learning_rate(train)
        number_format = format_of(train.precision)
        self.autocast = Autocast(number_format)
        self.scale = scale or loss_scale_of(number_format, train.loss_scale)
        self.steps_done = 0

    @cached_property
    def text_digest(self) -> str:
        """A hash of the tokens of the text. A checkpoint has it, so `restore` refuses another text."""
        return hashlib.blake2b(self.tokens.tobytes(), digest_size=16).hexdigest()

    @property
    def flat(self) -> Flat:
        """The store with one buffer of weights and one of gradients. Raises LayoutError with ZeRO."""
        if not isinstance(self.store, Flat):
            raise LayoutError(f"zero={self.grid.layout.zero} has no buffer of all weights; use trainer.store")
        return self.store

    @np.errstate(all="ignore")  # NaN and infinity are detected below
    def step(self) -> StepResult:
        """Run one optimiser step.

        Raises DivergenceError if the loss or the gradient is not finite. In this case no weight has changed.
        With a loss scale, all ranks skip a step whose gradient is not finite, and raise only after too many
        skipped steps in a row. Raises DataError on every rank if no target of the global batch is counted.
        """
        began, number, scale = time.perf_counter(), self.steps_done, self.scale.scale
        inputs, targets = self.batches.get(number)                  # [B, T], the global batch
        loss = self.gradient(inputs, targets)
        for gradient in self.store.gradients():
            self.scale.unscale(gradient)
        norm = global_norm(self.store, self.grid.tp, self.grid.pp, self.stages.copies, self.shards)
        # all ranks take or skip the step together, because the norm is equal
        taken = self.scale.update(math.isfinite(norm))
        if not math.isfinite(loss) or self.scale.hopeless:
            raise self._diverged(f"step {number}: loss {loss:g}, gradient norm {norm:g}", inputs[self.rows])
        lr = self.rate(number)
        if taken:
            for gradient in self.store.gradients():
                clip(gradient, norm, self.config.clip or math.inf)
            self.optimizer.step(lr)
            if self.reducer is not None:
                self.reducer.updated()
        self.steps_done += 1
        return StepResult(number, loss, norm, lr, time.perf_counter() - began, targets.size, scale,
                          skipped=not taken)

    def gradient(self, inputs: np.ndarray, targets: np.ndarray) -> float:
        """Write the gradient of the global batch, times the loss scale, into the store. inputs, targets: [B,
        T]. Returns the loss. All ranks call this method. Raises DataError if no target is counted.
        """
        count = self.divisor(targets)
        if self.reducer is None:
            return self._gradient_in_a_tree(inputs, targets, count)
        self.store.zero_grad()
        pieces = self.pieces()
        pipeline = self.pipeline(self.schedule(len(pieces)))
        batch = self.micro_batches(inputs, targets, pieces)
        losses = pipeline.run(batch, count, self.scale.scale, self.reducer.expect)            # [m]
        self.reducer.finish()
        self.stages.add_tied(self.store)
        return float(self._over_dp_and_pp(np.array([sum(losses)]), "loss")[0])

    def divisor(self, targets: np.ndarray) -> int:
        """Returns the divisor of the loss of every micro-batch: the number of counted targets in the global
        batch [B, T]. Raises DataError if it is 0.
        """
        return _require_targets(f"batch {self.steps_done}", targets)

    def _gradient_in_a_tree(self, inputs: np.ndarray, targets: np.ndarray, count: int) -> float:
        """Computes the gradient sample by sample, in a fixed order of additions (parallel/bitwise.py)."""
        pipeline = self.pipeline(self.schedule(1))

        def leaf(sample: int) -> np.ndarray:
            self.flat.zero_grad()
            batch = self.micro_batches(inputs, targets, [np.array([sample])])
            (loss,) = pipeline.run(batch, count, self.scale.scale)
            return np.append(self.flat.gradient(), self.flat.grad.dtype.type(loss))

        total = tree_sum(leaf, self.shares, self.grid.dp)           # [n + 1]; the loss is the last element
        self.flat.grad[...] = total[:-1]
        self.stages.add_tied(self.flat)
        return float(all_reduce(self.grid.pp, total[-1:], label="loss", algorithm="by_size")[0])

    @np.errstate(all="ignore")
    def validate(self) -> float:
        """Returns the mean loss over the validation windows, in nats per counted target. The batches are
        divided over the ranks of dp. Every layout adds the losses in the same order. Raises DivergenceError
        if the loss is not finite, and DataError if no target is counted.
        """
        batches = list(self.validation)
        mine = range(self.grid.dp.rank, len(batches), self.grid.dp.size)
        sums = np.zeros(len(batches))
        turns = [MicroBatch(*batches[number], NO_DROPOUT) for number in mine]
        if self.grid.layout.zero == 3 and len(mine) * self.grid.dp.size < len(batches):
            # this rank runs an empty batch, because all ranks of dp gather weights in each forward
            inputs, targets = batches[0]
            turns.append(MicroBatch(inputs[:0], targets[:0], NO_DROPOUT))
        if turns:
            pipeline = self.pipeline(forward_only(self.stages.stage_to_rank, len(turns)))
            sums[mine] = pipeline.run(turns, count=1)[:len(mine)]
        sums = self._over_dp_and_pp(sums, "validation")
        if not np.isfinite(sums).all():
            first = int(np.argmin(np.isfinite(sums)))
            raise self._diverged(f"validation before step {self.steps_done}: loss {sums[first]:g}",
                                 batches[first][0])
        return math.fsum(sums) / _require_targets("the validation windows",
                                                  *(targets for _, targets in batches))

    def state(self) -> TrainingState:
        """Returns arrays and metadata for a checkpoint. Rank 0 gets whole arrays, other ranks get {}. All
        ranks call this method.

        Random numbers have no state, because they depend only on seed and step. Raises DivergenceError if a
        weight is not finite, because such a checkpoint would be useless and would replace a good one.
        """
        # if weights of one rank are not finite, all ranks must raise
        spoilt = not all(np.isfinite(own).all() for _, own in self.store.own_weights())
        nonfinite = np.array([spoilt], np.int64)
        if all_reduce(self.grid.world, nonfinite, "max", label="spoilt weights").item():
            raise self._diverged(f"before step {self.steps_done}: spoilt weights",
                                 self.batches.get(self.steps_done)[0][self.rows])
        meta = {"model": asdict(self.model), "train": asdict(self.config),
                "tokenizer": self.tokenizer.to_dict(), "text": self.text_digest, "done": self.steps_done,
                "optimizer_steps": self.optimizer.steps, "loss_scale": self.scale.state()}
        return gather_arrays(self.store, self.optimizer, self.stages, self.grid.dp), meta

    def restore(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], where: object) -> None:
        """Continue from a checkpoint of any layout. Dropout and the options of the training may differ.

        `where` is the path of the checkpoint, for errors. Raises CheckpointError if the model, the optimiser,
        the dtype or the text differ. In this case nothing has changed.
        """
        require_same_model(self.model, self.optimizer, arrays, meta, where)
        config, saved = self.config, meta["train"]
        if saved["dtype"] != config.dtype:
            raise CheckpointError(f"{where} holds {saved['dtype']}; leave --dtype out, or start a new run")
        if meta["text"] != self.text_digest:
            raise CheckpointError(f"{where} was trained on another text; give the same --data, or start a "
                                  "new run")
        load_arrays(self.store, self.optimizer, arrays)
        self.steps_done, self.optimizer.steps = meta["done"], meta["optimizer_steps"]
        if (saved.get("precision"), saved.get("loss_scale")) == (config.precision, config.loss_scale):
            self.scale = LossScale(**meta["loss_scale"])            # otherwise the loss scale is new

    def pieces(self) -> list[np.ndarray]:
        """Returns the samples of each of this rank's micro-batches, as indices into the global batch."""
        return pieces_of(self.rows, self.shares, self.config.micro_batches, self.grid.layout.zero)

    def micro_batches(self, inputs: np.ndarray, targets: np.ndarray,
                      pieces: Sequence[np.ndarray]) -> list[MicroBatch]:
        """Returns micro-batches with these samples of the global batch, inputs and targets [B, T]."""
        rate, seed, step = self.model.dropout, self.config.seed, self.steps_done
        return [MicroBatch(inputs[rows], targets[rows],
                           Dropout(rate, seed, step, rows) if rate else NO_DROPOUT) for rows in pieces]

    def pipeline(self, schedule: Schedule) -> Pipeline:
        """Returns the executor of this schedule on this rank's stages. It is made once and cached."""
        if schedule not in self.pipelines:
            self.pipelines[schedule] = Pipeline(self.stages, schedule, self.grid.pp, self.watch,
                                                self.autocast)
        return self.pipelines[schedule]

    def _over_dp_and_pp(self, losses: np.ndarray, label: str) -> np.ndarray:
        """Sums losses over dp and pp (only the last stage has losses), bitwise equal on all ranks."""
        for axis in (self.grid.dp, self.grid.pp):
            losses = all_reduce(axis, losses, label=label, algorithm="by_size")
        return losses

    def _diverged(self, what: str, inputs: np.ndarray) -> DivergenceError:
        """Returns the error that names the first operation or weight that is not finite for these inputs [B,
        T]. The error's `facts` are step and item; item is, for example, "the output of blocks.0.mlp".
        """
        pipeline = self.pipeline(forward_only(self.stages.stage_to_rank, 1))
        batch = [MicroBatch(inputs, inputs, NO_DROPOUT)]
        site = self.stages.first_nonfinite(lambda: pipeline.run(batch, count=1), self.store)
        return DivergenceError(f"{what}; it arose first in {site}; try a lower --lr",
                               step=self.steps_done, item=site)


def _require_targets(what: str, *targets: np.ndarray) -> int:
    """Returns the number of counted targets. Raises DataError if it is 0, because then there is no mean."""
    if not (count := sum(map(tokens_that_count, targets))):
        raise DataError(f"all {sum(one.size for one in targets)} targets of {what} are ignored, so "
                        "there is no mean; give text in which at least one target counts")
    return count
