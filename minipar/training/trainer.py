"""Training: a global batch, its shares and micro-batches, backward for each, one step of the optimiser.

The loss is (sum over the targets of the global batch that count) / (their number); padding does not count.
Every rank sees the targets of the whole batch, so every micro-batch on every rank divides by the same number.
Gradients of pieces of any sizes then add up to the gradient of the batch, with no factor to correct
afterwards.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from typing import Any

import numpy as np

from minipar.autograd import tokens_that_count
from minipar.checkpoint.match import require_match
from minipar.comm.collectives import all_reduce, even_counts
from minipar.config import ModelConfig, TrainConfig
from minipar.data.batches import Batches, EvaluationBatches, split
from minipar.data.tokenizer import Tokenizer
from minipar.errors import CheckpointError, DataError, DivergenceError, LayoutError, ScheduleError
from minipar.nn import NO_DROPOUT, Dropout, Parameter, Region
from minipar.optim import OPTIMIZERS, Flat, clip, constant, cosine, warm_up
from minipar.parallel.bitwise import tree_sum
from minipar.parallel.data import make_reducer
from minipar.parallel.gather_parameters import gather_stages, gather_whole
from minipar.parallel.grid import Grid
from minipar.parallel.norm import global_norm
from minipar.parallel.pipeline import MicroBatch, Pipeline, Watch, nothing
from minipar.parallel.stages import Stages, parts_of, require_same, schedule_of
from minipar.parallel.tensor import region_of
from minipar.plan.parameters import rank_shapes
from minipar.precision import Autocast, LossScale, format_of, loss_scale_of
from minipar.schedules.generators import forward_only
from minipar.schedules.instruction import Schedule


@dataclass(frozen=True)
class StepResult:
    """What one training step did. loss: nats per target that counts; norm: of the gradient before clipping;
    seconds: wall-clock time.

    tokens: of the global batch, padding included. scale: the loss scale of mixed precision. skipped: the
    scaled gradient overflowed, and no weight was changed.
    """

    step: int
    loss: float
    norm: float
    lr: float
    seconds: float
    tokens: int
    scale: float = 1.0
    skipped: bool = False


class Trainer:
    """One rank's part of a training: its share of the model, of every batch and of the optimiser, and the
    number of steps done.

    All ranks of the grid make one and call the same methods in the same order. What a step does depends on
    (seed, step) and on what `state` returns, so a restored run goes on to the same bits. region: how the
    model's layers are spread (default: over grid.tp). watch: of each computation of a pipeline's program, see
    Pipeline. Raises DataError where the text is too short for the context, LayoutError where ranks would be
    left without work, ScheduleError for a schedule that cannot be.
    """

    def __init__(self, model: ModelConfig, train: TrainConfig, tokenizer: Tokenizer, tokens: np.ndarray,
                 grid: Grid, region: Region | None = None, watch: Watch = nothing):
        layout = grid.layout
        if layout.cp > 1:
            raise LayoutError(f"training runs over dp, pp and tp; leave cp at 1, not {layout.cp}")
        if layout.dp > train.batch:
            raise LayoutError(f"a batch of {train.batch} over dp={layout.dp} leaves ranks without samples; "
                              "choose a larger --batch")
        self.model, self.config, self.tokenizer, self.tokens, self.grid = (
            model,
            train,
            tokenizer,
            tokens,
            grid,
        )
        self.text = hashlib.blake2b(tokens.tobytes(), digest_size=16).hexdigest()
        training, validation = split(tokens)
        self.batches = Batches(training, model.context, train.batch, train.seed)
        self.validation = EvaluationBatches(validation, model.context, train.batch, train.validation_windows)
        self.shares = even_counts(train.batch, layout.dp)           # samples per rank of dp
        first = sum(self.shares[: grid.dp.rank])
        self.rows = np.arange(first, first + self.shares[grid.dp.rank])
        region = region or region_of(grid.tp, model.context, layout.sequence_parallel)
        at_once = 1 if layout.gradients == "bitwise" else len(self.pieces())
        # of so many micro-batches; a file is read but once
        self.schedule = cache(partial(schedule_of, layout))
        schedule = self.schedule(at_once)  # refused here, before anything of a run is written
        if schedule.forward_only:
            raise ScheduleError(f"schedule {layout.pipeline} has no backward; choose one that trains")
        require_same(schedule, layout, grid.pp)
        parts = parts_of(model.layers, schedule.stages, layout.stage_layers)
        self.stages = Stages(model, parts, schedule.stage_to_rank, grid, region, seed=train.seed,
                             dtype=train.dtype, recompute=train.recompute)
        self.pipelines: dict[Schedule, Pipeline] = {}
        self.watch = watch
        self.flat = Flat(self.stages.parameters())
        self.reducer = None if layout.gradients == "bitwise" else make_reducer(layout, self.flat, grid.dp)
        self.optimizer = OPTIMIZERS[train.optimizer](self.flat, weight_decay=train.weight_decay)
        self.rate = _learning_rate(train)
        format = format_of(train.precision)
        self.autocast, self.scale = Autocast(format), loss_scale_of(format, train.loss_scale)
        self.done = 0

    @np.errstate(all="ignore")  # NaN and infinity are looked for below, and traced
    def step(self) -> StepResult:
        """One optimiser step. Raises DivergenceError, and changes no weight, where loss or gradient are not
        finite; DataError, on every rank and before anything is computed, where no target of the global batch
        counts.

        With a loss scale, a step whose gradient is not finite is skipped on all ranks; too many of them in a
        row raise.
        """
        began, number, scale = time.perf_counter(), self.done, self.scale.scale
        inputs, targets = self.batches.get(number)  # [B, T], the global batch
        loss = (
            self._gradient_in_a_tree(inputs, targets)
            if self.reducer is None
            else self._gradient(inputs, targets)
        )
        self.scale.unscale(self.flat.gradient())
        norm = global_norm(self.flat, self.grid.tp, self.grid.pp, self.stages.copies)
        # the norm, and so the answer, is the same on all ranks
        taken = self.scale.update(math.isfinite(norm))
        if not math.isfinite(loss) or self.scale.hopeless:
            raise self._diverged(f"step {number}: loss {loss:g}, gradient norm {norm:g}", inputs[self.rows])
        lr = self.rate(number)
        if taken:
            clip(self.flat.grad, norm, self.config.clip or math.inf)
            self.optimizer.step(lr)
        self.done += 1
        return StepResult(number, loss, norm, lr, time.perf_counter() - began, targets.size, scale,
                          skipped=not taken)

    @np.errstate(all="ignore")
    def validate(self) -> float:
        """Mean loss over the validation windows, in nats per target that counts. Ranks of dp share the
        batches; every layout adds alike. Raises DivergenceError where it is not finite, DataError where no
        target counts.
        """
        batches = list(self.validation)
        mine = range(self.grid.dp.rank, len(batches), self.grid.dp.size)
        sums = np.zeros(len(batches))
        if mine:
            schedule = forward_only(self.stages.stage_to_rank, len(mine))
            sums[mine] = self._run(schedule, [MicroBatch(*batches[number], NO_DROPOUT) for number in mine],
                                   count=1)
        sums = self._over_dp_and_pp(sums, "validation")
        if not np.isfinite(sums).all():
            first = int(np.argmin(np.isfinite(sums)))
            raise self._diverged(f"validation before step {self.done}: loss {sums[first]:g}",
                                 batches[first][0])
        return math.fsum(sums) / _require_targets("the validation windows",
                                                  *(targets for _, targets in batches))

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays and metadata for a checkpoint: whole arrays on rank 0, none elsewhere. All ranks call it.

        Random numbers need none: they are keyed by seed and step. Raises DivergenceError where a weight is
        not finite: that checkpoint would be no good, and would push out one that is.
        """
        # perhaps on one rank, but all look for the place
        spoilt = np.array([not np.isfinite(self.flat.data).all()], np.int64)
        if all_reduce(self.grid.world, spoilt, "max", label="spoilt weights").item():
            raise self._diverged(f"before step {self.done}: spoilt weights",
                                 self.batches.get(self.done)[0][self.rows])
        meta = {"model": asdict(self.model), "train": asdict(self.config),
                "tokenizer": self.tokenizer.to_dict(),
                "text": self.text, "done": self.done, "optimizer_steps": self.optimizer.steps,
                "loss_scale": self.scale.state()}
        if self.grid.at["dp"] > 0:                                  # a replica of rank 0's
            return {}, meta
        arrays = {}
        for kind, p, part in self._parts():
            whole = None if p.name in self.stages.copies else gather_whole(p, part, self.grid.tp)
            if whole is not None:
                arrays[f"{kind}/{p.name}"] = whole
        return gather_stages(arrays, self.grid.pp), meta

    def restore(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], where: object) -> None:
        """Go on from a checkpoint at `where`, whatever layout wrote it; dropout and the training's options
        may be others.

        Raises CheckpointError, and changes nothing, where it is of another model, optimiser, dtype or text.
        """
        _require_same_model(asdict(self.model), meta["model"], where)
        require_match({f"{kind}/{name}": shape for kind in self._buffers() for name,
                       shape in rank_shapes(self.model).items()},
                      {name: array.shape for name, array in arrays.items()}, where)
        if meta["train"]["dtype"] != self.config.dtype:
            raise CheckpointError(f"{where} holds {meta['train']['dtype']}; leave --dtype out, or start a "
                                  "new run")
        if meta["text"] != self.text:
            raise CheckpointError(f"{where} was trained on another text; give the same --data, or start a "
                                  "new run")
        for kind, p, part in self._parts():
            part[...] = p.own(arrays[f"{kind}/{p.name}"])
        self.done, self.optimizer.steps = meta["done"], meta["optimizer_steps"]
        if (meta["train"].get("precision"),
            meta["train"].get("loss_scale")) == (self.config.precision, self.config.loss_scale):
            self.scale = LossScale(**meta["loss_scale"])  # another precision, or scale, starts with its own

    def pieces(self) -> list[np.ndarray]:
        """Numbers of this rank's samples in the global batch, for each piece that goes through the pipeline
        as a micro-batch.
        """
        return [rows for rows in np.array_split(self.rows, self.config.micro_batches) if len(rows)]

    def _buffers(self) -> dict[str, np.ndarray]:
        """The flat buffers that a checkpoint holds, by kind: weights and each slot of the optimiser."""
        return {"weights": self.flat.data} | {f"optimizer/{slot}": a for slot,
                                              a in self.optimizer.state.items()}

    def _parts(self) -> list[tuple[str, Parameter, np.ndarray]]:
        """(kind, parameter, this rank's array) of all that a checkpoint holds."""
        views = {kind: self.flat.by_name(buffer) for kind, buffer in self._buffers().items()}
        return [(kind, p, arrays[p.name]) for kind, arrays in views.items() for p in self.flat.parameters]

    def _gradient(self, inputs: np.ndarray, targets: np.ndarray) -> float:
        """Fill the flat gradient with that of the global batch; returns the loss."""
        assert self.reducer is not None
        self.flat.zero_grad()
        loss = self._backward(inputs, targets, self.pieces(), self.reducer.expect)
        self.reducer.finish()
        self.stages.add_tied(self.flat)
        return float(self._over_dp_and_pp(np.array([loss]), "loss")[0])

    def _gradient_in_a_tree(self, inputs: np.ndarray, targets: np.ndarray) -> float:
        """The same, sample by sample in a fixed order of additions: see parallel/bitwise.py."""
        def leaf(sample: int) -> np.ndarray:
            self.flat.zero_grad()
            loss = self._backward(inputs, targets, [np.array([sample])])
            return np.append(self.flat.gradient(), self.flat.grad.dtype.type(loss))

        total = tree_sum(leaf, self.shares, self.grid.dp)           # [n + 1], the loss last
        self.flat.grad[...] = total[:-1]
        self.stages.add_tied(self.flat)
        return float(all_reduce(self.grid.pp, total[-1:], label="loss", algorithm="by_size")[0])

    def _backward(self, inputs: np.ndarray, targets: np.ndarray, pieces: Sequence[np.ndarray],
                  expect: Callable[[Iterable[Parameter]], object] = nothing) -> float:
        """Add the gradient of some samples of the global batch, in micro-batches; returns their part of the
        loss.

        The loss is 0 on ranks of pp that do not have the last stage.
        """
        rate, seed, step = self.model.dropout, self.config.seed, self.done
        count = _require_targets(f"batch {step}", targets)
        batch = [MicroBatch(inputs[rows], targets[rows], Dropout(rate, seed, step, rows) if rate
                            else NO_DROPOUT)
                 for rows in pieces]
        return float(sum(self._run(self.schedule(len(pieces)), batch, count, expect)))

    def _run(self, schedule: Schedule, batch: Sequence[MicroBatch], count: int,
             expect: Callable[[Iterable[Parameter]], object] = nothing) -> np.ndarray:
        """The losses of the micro-batches [m], see Pipeline.run. A schedule is lowered once."""
        if schedule not in self.pipelines:
            self.pipelines[schedule] = Pipeline(self.stages, schedule, self.grid.pp, self.watch)
        with self.autocast():
            return self.pipelines[schedule].run(batch, count, self.scale.scale, expect)

    def _over_dp_and_pp(self, losses: np.ndarray, label: str) -> np.ndarray:
        """The sum over ranks that have different samples, and over stages, of which the last alone has
        losses. In the same bits on all ranks of tp and pp, each of which is in groups of its own.
        """
        for axis in (self.grid.dp, self.grid.pp):
            losses = all_reduce(axis, losses, label=label, algorithm="by_size")
        return losses

    def _diverged(self, what: str, inputs: np.ndarray) -> DivergenceError:
        """The error that says where in the model a NaN or an infinity came up first, on these inputs [B,
        T].
        """
        schedule = forward_only(self.stages.stage_to_rank, 1)
        place = self.stages.first_nonfinite(lambda: self._run(schedule,
                                                              [MicroBatch(inputs, inputs, NO_DROPOUT)],
                                                              count=1))
        return DivergenceError(f"{what}; it arose first in {place}; try a lower --lr")


def _require_same_model(own: Mapping[str, Any], saved: Mapping[str, Any], where: object) -> None:
    """Shapes alone would not do: another number of heads is another model with weights of the same shapes."""
    wrong = [f"{name} {saved.get(name)}, not {value}" for name, value in own.items()
             if name != "dropout" and saved.get(name) != value]
    if wrong:
        raise CheckpointError(f"{where} is of another model: it has {', '.join(wrong)}; "
                              f"resume with the sizes it was trained with, or start a new run")


def _require_targets(what: str, *targets: np.ndarray) -> int:
    """How many targets count. Raises DataError where none does: there is no mean."""
    if not (count := sum(map(tokens_that_count, targets))):
        raise DataError(f"all {sum(one.size for one in targets)} targets of {what} are to be ignored, so "
                        "there is no mean; "
                        f"give text in which at least one counts")
    return count


def _learning_rate(config: TrainConfig) -> Callable[[int], float]:
    after = max(config.steps - config.warm_up, 1)
    peak = constant(config.lr) if config.schedule == "constant" else cosine(config.lr, config.lr / 10, after)
    return warm_up(peak, config.warm_up)
