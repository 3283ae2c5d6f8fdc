"""Bugs of the sum of gradients over dp. Gradients are left out, or are summed too early, in a wrong order, or
never.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minipar.comm.collectives import all_reduce
from minipar.comm.protocol import Communicator
from minipar.nn import Parameter
from minipar.optim import Flat
from minipar.parallel.data import Buckets, Whole
from minipar.proof.mutants.mutant import Change, mutant
from minipar.training import trainer as train


@mutant("gradients", dp=2)
def never_reduced() -> list[Change]:
    """The gradients are not summed over dp. So each replica updates its weights with the gradient of its own
    samples.
    """
    return [Change(Whole, "finish", lambda reducer: None)]


@mutant("gradients", dp=2)
def one_parameter_forgotten() -> list[Change]:
    """All gradients are summed over dp, except the gradient of the last LayerNorm's bias."""
    return _only(lambda flat: slice(0, flat.slices[-1].start))


@mutant("gradients", dp=2)
def one_parameter_reduced() -> list[Change]:
    """Only one gradient is summed over dp. numpitron had this bug: it summed 1 of 21 gradients."""
    return _only(lambda flat: flat.slices[0])


def _only(choose: Callable[[Flat], slice]) -> list[Change]:
    def finish(reducer: Whole) -> None:
        part = reducer.flat.gradient()[choose(reducer.flat)]
        all_reduce(reducer.dp, part, label="gradients", out=part)
    return [Change(Whole, "finish", finish)]


@mutant("gradients", dp=2)
def sent_in_half_the_bits() -> list[Change]:
    """Gradients are sent as float32, although the training is in float64."""
    def finish(reducer: Whole) -> None:
        gradient = reducer.flat.gradient()
        gradient[...] = all_reduce(reducer.dp, gradient.astype(np.float32), label="gradients")
    return [Change(Whole, "finish", finish)]


@mutant("gradients", dp=2)
def one_step_late() -> list[Change]:
    """A step uses the summed gradient of the previous step."""
    original = Whole.finish

    def finish(reducer: Whole) -> None:
        original(reducer)
        gradient = reducer.flat.grad
        ready = vars(reducer).get("ready", np.zeros_like(gradient))
        vars(reducer)["ready"] = gradient.copy()
        gradient[...] = ready
    return [Change(Whole, "finish", finish)]


@mutant("gradients", dp=2, gradients="buckets", bucket_bytes=3000)
def bucket_sent_early() -> list[Change]:
    """A bucket is sent when its first gradient is complete, not when its last gradient is complete."""
    def complete(reducer: Buckets, number: int, p: Parameter, gradient: np.ndarray) -> None:
        if p in reducer.expected:
            while len(reducer.handles) <= number:
                reducer.start()
                reducer.handles[-1].wait()  # so the message ends before backward continues
    return [Change(Buckets, "complete", complete)]


@mutant("CommError", dp=2, gradients="buckets", bucket_bytes=3000)
def buckets_in_another_order() -> list[Change]:
    """One rank sums its buckets in reverse order. The collectives compare their labels, so the job stops
    before it adds gradients of different buckets.
    """
    def finish(reducer: Buckets) -> None:
        gradient = reducer.flat.gradient()
        for bucket in reversed(reducer.sections) if reducer.dp.rank % 2 else reducer.sections:
            all_reduce(reducer.dp, gradient[bucket.span], label=bucket.label, out=gradient[bucket.span])
    return [Change(Buckets, "finish", finish),
            Change(Buckets, "complete", lambda reducer, number, p, gradient: None)]


@mutant("loss", dp=2)
def loss_not_reduced() -> list[Change]:
    """The reported loss covers only the samples of rank 0."""
    return [_not_reduced(lambda losses: losses.size == 1)]


@mutant("validation loss", dp=2)
def validation_not_reduced() -> list[Change]:
    """The validation loss lacks the batches of other ranks."""
    return [_not_reduced(lambda losses: losses.size > 1)]


def _not_reduced(forgotten: Callable[[np.ndarray], bool]) -> Change:
    """Returns a change that skips the all-reduce of `losses` if `forgotten(losses)` is true. A training step
    reduces one loss. Validation reduces one loss per batch.
    """
    def own(comm: Communicator, array: np.ndarray, op: str = "sum", *, label: str,
            **options: Any) -> np.ndarray:
        return array if forgotten(array) else all_reduce(comm, array, op, label=label, **options)
    return Change(train, "all_reduce", own)
