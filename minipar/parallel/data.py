"""Data parallelism: each rank of `dp` has the gradient of its own samples; the step needs the sum.

The loss divides by the tokens of the global batch, so gradients of shards of any sizes add up, and no mean is
to be taken. The sum is written four ways: the definition (one message per parameter), one flat buffer, the
same in memory that ranks share, and buckets that travel while backward still runs (Li et al. 2020, "PyTorch
Distributed: experiences on accelerating data parallel training"). `bitwise.py` has a fifth.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import numpy as np

from minipar.comm.collectives import Handle, all_reduce, shared_array, start_all_reduce
from minipar.comm.protocol import Communicator
from minipar.config import Layout
from minipar.nn import Parameter
from minipar.optim import Flat

BUCKET = Layout.bucket_bytes                                        # the default


class GradientReducer:
    """The definition: one all-reduce per parameter, after backward."""

    def __init__(self, flat: Flat, dp: Communicator, algorithm: str = "auto"):
        self.flat, self.dp, self.algorithm = flat, dp, algorithm

    def expect(self, parameters: Iterable[Parameter]) -> None:
        """Called before the last backward of a step that reaches these parameters."""

    def finish(self) -> None:
        """Called after the last backward; it leaves the sum over dp in the flat gradient, in the same bits on
        all ranks.
        """
        for name, gradient in self.flat.by_name(self.flat.gradient()).items():
            all_reduce(self.dp, gradient, label=f"gradient {name}", out=gradient, algorithm=self.algorithm)


class Whole(GradientReducer):
    """One all-reduce of the whole flat gradient, after backward."""

    def finish(self) -> None:
        gradient = self.flat.gradient()
        all_reduce(self.dp, gradient, label="gradients", out=gradient, algorithm=self.algorithm)


class Shared(Whole):
    """One all-reduce of the whole flat gradient, which lies in memory that all ranks of dp see: no message
    carries it.

    For ranks of one node. Raises CommError where dp spans several.
    """

    def __init__(self, flat: Flat, dp: Communicator):
        super().__init__(flat, dp, algorithm="shared")
        flat.keep_gradient_in(shared_array(dp, flat.grad.shape, flat.grad.dtype, label="gradients"))


class Buckets(GradientReducer):
    """The flat gradient in buckets; each starts to travel as soon as backward has completed all of its
    parameters.

    Backward completes parameters from the last layer to the first, so buckets are filled, and numbered, from
    the end. All ranks must start them in the same order: a bucket that is complete waits for those before it.
    """

    def __init__(self, flat: Flat, dp: Communicator, algorithm: str = "auto", size: int = BUCKET):
        super().__init__(flat, dp, algorithm)
        self.buckets = _cut(flat, size)
        # per bucket, what is not complete
        self._missing = [set(parameters) for _, parameters in self.buckets]
        self._expected: set[Parameter] = set()                      # what the backward under way completes
        self._handles: list[Handle] = []                            # of the buckets that have started
        for number, (_, parameters) in enumerate(self.buckets):
            for p in parameters:
                p.on_grad(partial(self._complete, number, p))

    def expect(self, parameters: Iterable[Parameter]) -> None:
        self._expected.update(parameters)

    def finish(self) -> None:
        self.flat.gradient()  # parameters that backward did not reach are zero now
        while len(self._handles) < len(self.buckets):
            self._start()
        for handle in self._handles:
            handle.wait()
        self._expected, self._handles = set(), []
        self._missing = [set(parameters) for _, parameters in self.buckets]

    def _complete(self, number: int, p: Parameter, gradient: np.ndarray) -> None:
        if p not in self._expected:                                 # an earlier micro-batch: more is to come
            return
        self._missing[number].discard(p)
        while len(self._handles) < len(self.buckets) and not self._missing[len(self._handles)]:
            self._start()
        for handle in self._handles:                                # messages move only when asked to
            handle.test()

    def _start(self) -> None:
        number = len(self._handles)
        place, _ = self.buckets[number]
        part = self.flat.grad[place]
        handle = start_all_reduce(self.dp, part, label=f"gradients {number}", out=part,
                                  algorithm=self.algorithm)
        self._handles.append(handle)


def _cut(flat: Flat, size: int) -> list[tuple[slice, list[Parameter]]]:
    """Runs of parameters of about `size` bytes of gradient, from the end of the buffer to its start."""
    buckets: list[tuple[slice, list[Parameter]]] = []
    for p, place in reversed(list(zip(flat.parameters, flat.places, strict=True))):
        if buckets and (buckets[-1][0].stop - place.start) * flat.grad.itemsize <= size:
            last, parameters = buckets[-1]
            buckets[-1] = (slice(place.start, last.stop), [*parameters, p])
        else:
            buckets.append((place, [p]))
    return buckets


def make_reducer(layout: Layout, flat: Flat, dp: Communicator) -> GradientReducer:
    """What sums gradients over dp in this layout (all but the bitwise one)."""
    if layout.gradients == "buckets":
        return Buckets(flat, dp, size=layout.bucket_bytes)
    return {"parameter": GradientReducer, "flat": Whole, "shared": Shared}[layout.gradients](flat, dp)
