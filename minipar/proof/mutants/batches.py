"""Bugs of the batch: its distribution over ranks, the divisor of the loss, the sum over micro-batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from minipar.autograd import backward
from minipar.comm.collectives import all_reduce
from minipar.nn import GPT
from minipar.optim import Flat
from minipar.parallel import pipeline
from minipar.parallel.data import Whole
from minipar.parallel.pipeline import Execution
from minipar.proof.mutants.mutant import Change, after_init, mutant
from minipar.schedules.instruction import Instruction
from minipar.training import trainer as train
from minipar.training.trainer import Trainer

PIECES = 3                                                          # number of micro-batches in these cases


@mutant("forward", dp=2)
def same_samples_on_all_ranks() -> list[Change]:
    """Every rank takes the first samples of the batch, so all ranks of dp compute the same gradient."""
    return _rows(lambda trainer: np.arange(len(trainer.rows)))


@mutant("forward", dp=2)
def remainder_dropped() -> list[Change]:
    """Each of two ranks takes three of seven samples, so the last sample is never used."""
    return _rows(lambda trainer: trainer.rows[: trainer.config.batch // trainer.grid.dp.size])


def _rows(choose: Callable[[Trainer], np.ndarray]) -> list[Change]:
    def take(trainer: Trainer, *arguments: Any, **options: Any) -> None:
        trainer.rows = choose(trainer)
    return [after_init(Trainer, take)]


@mutant("loss", dp=2, batch=8)
def own_tokens_then_sum() -> list[Change]:
    """Each rank divides its loss by its own number of tokens, and the gradients are summed over dp. A mean
    over dp would be needed.
    """
    return _own_tokens(lambda trainer: 1.0)


@mutant("loss", dp=2, batch=7)
def own_tokens_then_mean() -> list[Change]:
    """Each rank divides its loss by its own number of tokens, and the gradients are averaged over dp. This is
    wrong if the ranks have different numbers of tokens.
    """
    return [*_own_tokens(lambda trainer: 1 / trainer.grid.dp.size), _averaged()]


@mutant("loss", dp=2, micro_batches=PIECES)
def padding_counted() -> list[Change]:
    """The loss is divided by the number of all targets, and the ignored targets (padding) count, too. So the
    gradient is too small.
    """
    return [Change(train, "tokens_that_count", lambda targets: targets.size)]


def _own_tokens(report: Callable[[Trainer], float]) -> list[Change]:
    """Returns changes that make each rank divide the loss by its own number of tokens. report: returns a
    factor for the reported loss.
    """
    divisor, gradient = Trainer.divisor, Trainer.gradient

    def own(trainer: Trainer, targets: np.ndarray) -> int:
        return divisor(trainer, targets[trainer.rows])

    def reported(trainer: Trainer, inputs: np.ndarray, targets: np.ndarray) -> float:
        return report(trainer) * gradient(trainer, inputs, targets)
    return [Change(Trainer, "divisor", own), Change(Trainer, "gradient", reported)]


def _averaged() -> Change:
    def finish(reducer: Whole) -> None:
        gradient = reducer.flat.gradient()
        all_reduce(reducer.dp, gradient, "mean", label="gradients", out=gradient)
    return Change(Whole, "finish", finish)


@mutant("gradients", dp=2)
def averaged_twice() -> list[Change]:
    """The loss is already divided by the number of tokens of the global batch, but the all-reduce of
    gradients takes the mean, too.
    """
    return [_averaged()]


@mutant("backward", dp=2, micro_batches=PIECES)
def mean_of_micro_batches_missing() -> list[Change]:
    """The loss of each micro-batch is the mean over this micro-batch, and the gradients are summed. So the
    gradients grow with the number of micro-batches. picotron had this bug.
    """
    return [Change(pipeline, "backward", lambda loss, gradient, deferred: backward(loss, gradient * PIECES))]


@mutant("loss", dp=2, micro_batches=PIECES)
def divided_by_micro_batches_on_top() -> list[Change]:
    """The loss is divided by the number of micro-batches, although it was already divided by all tokens."""
    original = GPT.loss
    return [Change(GPT, "loss", lambda model, *arguments,
                   **options: original(model, *arguments, **options) * (1 / PIECES))]


@mutant("gradients", micro_batches=PIECES)
def accumulation_overwritten() -> list[Change]:
    """Each micro-batch's gradient overwrites the gradient of the previous micro-batch, so only the last one
    counts.
    """
    return [around_backward(before=lambda trainer, last: trainer.flat.zero_grad())]


@mutant("gradients", dp=2, micro_batches=PIECES)
def reduced_after_every_micro_batch() -> list[Change]:
    """After each micro-batch, the whole accumulated gradient is summed over dp. So the gradients of earlier
    micro-batches are summed several times.
    """
    def reduce(trainer: Trainer, last: bool) -> None:
        if not last:
            trainer.reducer.finish()                                # type: ignore[union-attr]
    return [around_backward(after=reduce)]


def _nothing(trainer: Trainer, last: bool) -> None:
    pass


def around_backward(before: Callable[[Trainer, bool], None] = _nothing,
                    after: Callable[[Trainer, bool], None] = _nothing) -> Change:
    """Returns a change that calls `before` and `after` around the backward of each micro-batch. The argument
    `last` of these functions is true for the last micro-batch.
    """
    def surround(trainer: Trainer, *arguments: Any, **options: Any) -> None:
        inner, last = trainer.watch, len(trainer.pieces()) - 1

        @contextmanager
        def watch(instruction: Instruction, execution: Execution) -> Iterator[None]:
            if instruction.kind == "B":
                before(trainer, instruction.micro == last)
            with inner(instruction, execution):
                yield
            if instruction.kind == "B":
                after(trainer, instruction.micro == last)
        trainer.watch = watch
    return after_init(Trainer, surround)


@mutant("forward", micro_batches=PIECES)
def last_micro_batch_dropped() -> list[Change]:
    """The loop over micro-batches leaves out the last micro-batch."""
    original = Trainer.pieces

    def but_one(trainer: Trainer) -> list[np.ndarray]:
        return original(trainer)[:-1]
    return [Change(Trainer, "pieces", but_one)]


@mutant("later gradients", dp=2)
def zero_grad_forgotten() -> list[Change]:
    """A step adds its gradient to the gradient of the previous step."""
    return [Change(Flat, "zero_grad", lambda flat: None)]
