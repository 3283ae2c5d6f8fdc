"""Data parallelism: each rank of `dp` has the gradient of its own samples; the step needs the sum.

The loss divides by the tokens of the global batch, so gradients of shards of any sizes add up, and no mean is
to be taken. The sum is written four ways: the definition (one message per parameter), one flat buffer, the
same in memory that ranks share, and buckets that travel while backward still runs (Li et al. 2020, "PyTorch
Distributed: experiences on accelerating data parallel training"). `bitwise.py` has a fifth.

With tensor parallelism, every rank of tp has a group dp of its own, and each of these groups sums a copy of
what the ranks of tp hold whole (positions, LayerNorms, some biases). The copies must stay equal in every bit.
An all-reduce adds an element in an order that depends on which chunk the element is in. So the copies travel
in messages of their own, in whose length, chunks and algorithm nothing differs between the ranks of tp; the
parts, which differ in length, travel apart from them:

    tp rank 0, dp = 3   | parts: 7 elements       | copies: 5     chunks of 3, 2, 2 and of 2, 2, 1 elements
    tp rank 1           | parts: 4 elements | copies: 5           chunks of 2, 1, 1 and of 2, 2, 1 elements

The bitwise sum needs no such care: it adds every element in the same order, whatever the length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

import numpy as np

from minipar.comm.collectives import Handle, all_reduce, shared_array, start_all_reduce
from minipar.comm.protocol import Communicator
from minipar.config import Layout
from minipar.nn import Parameter
from minipar.optim import Flat

BUCKET = Layout.bucket_bytes                                        # the default


class GradientPart(NamedTuple):
    """A run of the flat gradient that is summed by itself, and what belongs to it."""

    span: slice
    parameters: list[Parameter]
    label: str
    algorithm: str


class GradientReducer:
    """The definition: one all-reduce per parameter, after backward.

    copies: other ranks hold copies of what is not sharded (tp > 1). algorithm: what "auto" is to be for
    everything.
    """

    def __init__(self, flat: Flat, dp: Communicator, copies: bool = False, algorithm: str = "auto"):
        self.flat, self.dp = flat, dp
        self.slices = dict(zip(flat.parameters, flat.slices, strict=True))
        self.sections = self.messages(_sections(flat, copies, algorithm))

    def messages(self, sections: list[GradientPart]) -> list[GradientPart]:
        """What travels as one message each, from the sections that must not be mixed."""
        return [GradientPart(self.slices[p], [p], f"gradient {p.name}", section.algorithm)
                for section in sections for p in section.parameters]

    def expect(self, parameters: Iterable[Parameter]) -> None:
        """Called before the last backward of a step that reaches these parameters."""

    def finish(self) -> None:
        """Called after the last backward; it leaves the sum over dp in the flat gradient, in the same bits on
        all ranks.
        """
        gradient = self.flat.gradient()
        for span, _, label, algorithm in self.sections:
            all_reduce(self.dp, gradient[span], label=label, out=gradient[span], algorithm=algorithm)


class Whole(GradientReducer):
    """One all-reduce of the whole flat gradient, after backward; two where there are copies."""

    def messages(self, sections: list[GradientPart]) -> list[GradientPart]:
        return sections


class Shared(Whole):
    """The same in memory that all ranks of dp see: no message carries the gradient.

    For ranks of one node. Raises CommError where dp spans several.
    """

    def __init__(self, flat: Flat, dp: Communicator, copies: bool = False):
        super().__init__(flat, dp, copies, algorithm="shared")
        flat.keep_gradient_in(shared_array(dp, flat.grad.shape, flat.grad.dtype, label="gradients"))


class Buckets(GradientReducer):
    """The flat gradient in buckets; each starts to travel as soon as backward has completed all of its
    parameters.

    Backward completes parameters from the last layer to the first, so buckets are filled from the end, and
    numbered in the order in which backward completes them. All ranks must start them in the same order: a
    bucket that is complete waits for those before it.
    """

    def __init__(self, flat: Flat, dp: Communicator, copies: bool = False, size: int = BUCKET):
        self.size = size
        super().__init__(flat, dp, copies)
        # per bucket, what is not complete
        self._missing = [set(bucket.parameters) for bucket in self.sections]
        self.expected: set[Parameter] = set()                       # what the backward under way completes
        self.handles: list[Handle] = []                             # of the buckets that have started
        for number, bucket in enumerate(self.sections):
            for p in bucket.parameters:
                p.on_grad(partial(self.complete, number, p))

    def messages(self, sections: list[GradientPart]) -> list[GradientPart]:
        numbers = self.flat.numbers
        buckets = [bucket for section in sections for bucket in self._fill(section)]
        buckets.sort(key=lambda bucket: min(numbers[p] for p in bucket.parameters), reverse=True)
        return [bucket._replace(label=f"{bucket.label} {number}") for number, bucket in enumerate(buckets)]

    def expect(self, parameters: Iterable[Parameter]) -> None:
        self.expected.update(parameters)

    def finish(self) -> None:
        self.flat.gradient()  # parameters that backward did not reach are zero now
        while len(self.handles) < len(self.sections):
            self.start()
        for handle in self.handles:
            handle.wait()
        self.expected, self.handles = set(), []
        self._missing = [set(bucket.parameters) for bucket in self.sections]

    def complete(self, number: int, p: Parameter, gradient: np.ndarray) -> None:
        """Called when a gradient of bucket `number` is complete in this backward."""
        if p not in self.expected:                                  # an earlier micro-batch: more is to come
            return
        self._missing[number].discard(p)
        while len(self.handles) < len(self.sections) and not self._missing[len(self.handles)]:
            self.start()
        for handle in self.handles:                                 # messages move only when asked to
            handle.test()

    def start(self) -> None:
        """Start the sum of the next bucket."""
        span, _, label, algorithm = self.sections[len(self.handles)]
        part = self.flat.grad[span]
        self.handles.append(start_all_reduce(self.dp, part, label=label, out=part, algorithm=algorithm))

    def _fill(self, section: GradientPart) -> list[GradientPart]:
        """Runs of parameters of about `size` bytes of gradient, from the end of the section to its start."""
        buckets: list[GradientPart] = []
        for p in reversed(section.parameters):
            span = self.slices[p]
            if buckets and (buckets[-1].span.stop - span.start) * self.flat.grad.itemsize <= self.size:
                last = buckets[-1]
                buckets[-1] = last._replace(span=slice(span.start, last.span.stop),
                                            parameters=[*last.parameters, p])
            else:
                buckets.append(section._replace(span=span, parameters=[p]))
        return buckets


def _sections(flat: Flat, copies: bool, algorithm: str) -> list[GradientPart]:
    """What must not be mixed up: parts that are this rank's alone, and copies of what other ranks hold too.

    The algorithm of the copies may depend on their size alone, not on where this group's ranks are.
    """
    if not copies:
        return [GradientPart(slice(0, len(flat.data)), flat.parameters, "gradients", algorithm)]
    parts, whole = ([p for p in flat.parameters if p.is_sharded is sharded] for sharded in (True, False))
    sections = [GradientPart(slice(0, flat.whole.start), parts, "gradients", algorithm),
                GradientPart(flat.whole, whole, "replicated gradients",
                        "by_size" if algorithm == "auto" else algorithm)]
    return [section for section in sections if section.parameters]


REDUCERS: dict[str, Callable[[Flat, Communicator, bool], GradientReducer]] = {
    "parameter": GradientReducer, "flat": Whole, "shared": Shared}


def make_reducer(layout: Layout, flat: Flat, dp: Communicator) -> GradientReducer:
    """What sums gradients over dp in this layout (all but the bitwise one)."""
    if layout.gradients == "buckets":
        return Buckets(flat, dp, layout.tp > 1, size=layout.bucket_bytes)
    return REDUCERS[layout.gradients](flat, dp, layout.tp > 1)
