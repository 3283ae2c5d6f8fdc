"""Records the activations and gradients where a parallel layer begins (`enter`) and ends (`leave`).

The outputs of `enter` and `leave` are recorded in forward, and the gradients of their inputs in backward.
These arrays are results of communication, so they are not partial sums. Each array is equal on all ranks of
tp, or it holds the tokens of this rank. So it can be compared with the array of a single process. A schedule
may run micro-batches in any order, so the records are sorted by micro-batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from minipar.autograd import Tensor
from minipar.autograd.recompute import is_second_run
from minipar.nn import Region
from minipar.proof.record import Location
from minipar.schedules.instruction import Instruction

# location -> (micro-batch, array), in the order of execution
RecordedPieces = dict[Location, list[tuple[int, np.ndarray]]]


class Recording(Region):
    """A region that calls `inner`, and keeps copies of activations and gradients while `on` is true. A
    Trainer enters the context `watch` around each instruction. values, gradients: the copies.
    """

    def __init__(self, inner: Region):
        self.inner = inner
        self.on, self.micro = False, 0
        self.values: RecordedPieces = {}
        self.gradients: RecordedPieces = {}

    @contextmanager
    def watch(self, instruction: Instruction, execution: Any) -> Iterator[None]:
        self.micro = instruction.micro
        yield

    def enter(self, x: Tensor, label: str) -> Tensor:
        return self._note(Location("into", label), x, self.inner.enter(x, label))

    def leave(self, x: Tensor, label: str) -> Tensor:
        return self._note(Location("out of", label), x, self.inner.leave(x, label))

    def replicated(self, w: Tensor, label: str) -> Tensor:
        return self.inner.replicated(w, label)

    def shard(self, n: int, what: str) -> slice:
        return self.inner.shard(n, what)

    def positions(self, T: int) -> slice:
        return self.inner.positions(T)

    def cross_entropy(self, logits: Tensor, targets: np.ndarray, divisor: int | None, rows: slice,
                      vocabulary: int) -> Tensor:
        return self.inner.cross_entropy(logits, targets, divisor, rows, vocabulary)

    def _note(self, at: Location, x: Tensor, out: Tensor) -> Tensor:
        if self.on:
            if not is_second_run():
                self.values.setdefault(at, []).append((self.micro, out.data.copy()))
            x.on_grad(partial(self._note_gradient, at))
        return out

    def _note_gradient(self, at: Location, gradient: np.ndarray) -> None:
        self.gradients.setdefault(at, []).append((self.micro, gradient.copy()))


def joined(pieces: RecordedPieces) -> dict[Location, np.ndarray]:
    """Returns a dict, location -> one array with the samples of all micro-batches in order."""
    return {at: np.concatenate([array for _, array in sorted(found, key=lambda piece: piece[0])])
            for at, found in pieces.items()}
