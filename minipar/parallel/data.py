"""Data parallelism sums gradients. Each rank of `dp` has the gradient of its own samples, and a training step
needs the sum over all ranks.

Every rank divides its loss by the number of counted (not ignored) targets of the global batch. So the
gradients of all ranks are added, and no mean is taken. There are four implementations of the sum:

    GradientReducer     one message per parameter, the simplest version
    Whole               one flat buffer
    Shared              one flat buffer in shared memory
    Buckets             several buffers, which are sent while backward still runs (Li et al. 2020, "PyTorch
                        Distributed: experiences on accelerating data parallel training")

Other modules have three more implementations: `bitwise.py` sums in a fixed order, `compressed.py` sends fewer
bytes, and `sharded.py` uses reduce-scatter for ZeRO.

With tensor parallelism, each rank of tp belongs to a different dp group. Each of these groups also sums the
gradients of replicated parameters (positions, LayerNorms, some biases). These replicas must stay bitwise
equal. But an all-reduce divides its message into chunks, and the order of the additions depends on the chunk
of an element. So replicated parameters have their own message, with the same length, chunks and algorithm in
each group. Sharded parameters are sent in another message, because their length can differ:

    tp rank 0, dp = 3   | sharded: 7 elements     | replicas: 5      chunks of 3, 2, 2 and of 2, 2, 1 elements
    tp rank 1, dp = 3   | sharded: 4 elements | replicas: 5          chunks of 2, 1, 1 and of 2, 2, 1 elements

The bitwise sum needs no separate messages, because it adds every element in the same order for every length.
"""

# dp, tp: the axes of data and tensor parallelism

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

BUCKET = Layout.bucket_bytes  # bytes, the default


class GradientPart(NamedTuple):
    """A part of the flat gradient that one all-reduce sums. span: its slice of the flat gradient. parameters:
    the parameters in this slice.
    """

    span: slice
    parameters: list[Parameter]
    label: str
    algorithm: str


class GradientReducer:
    """Runs one all-reduce per parameter after backward. The other implementations must give the same sums.

    copies: true if other ranks hold replicas of the parameters that are not sharded (tp > 1). algorithm: the
    algorithm of each all-reduce.
    """

    def __init__(self, flat: Flat, dp: Communicator, copies: bool = False, algorithm: str = "auto"):
        self.flat, self.dp = flat, dp
        self.slices = dict(zip(flat.parameters, flat.slices, strict=True))
        self.sections = self.messages(_sections(flat, copies, algorithm))

    def messages(self, sections: list[GradientPart]) -> list[GradientPart]:
        """Returns the parts of the flat gradient, one per message. A part never spans two sections (see
        `_sections`).
        """
        return [GradientPart(self.slices[p], [p], f"gradient {p.name}", section.algorithm)
                for section in sections for p in section.parameters]

    def expect(self, parameters: Iterable[Parameter]) -> None:
        """Called once per step, before the last backward that adds to the gradients of `parameters`."""

    def updated(self) -> None:
        """Called after the optimiser's step."""

    @property
    def residual_bytes(self) -> int:
        """The bytes of the residuals (kept rounding errors). Only compressed sums have residuals
        (compressed.py).
        """
        return 0

    def finish(self) -> None:
        """Called after the last backward. Afterwards the flat gradient is the sum over dp, bitwise equal on
        all ranks.
        """
        gradient = self.flat.gradient()
        for span, _, label, algorithm in self.sections:
            all_reduce(self.dp, gradient[span], label=label, out=gradient[span], algorithm=algorithm)


class Whole(GradientReducer):
    """Runs one all-reduce of the whole flat gradient after backward, or two if there are replicas."""

    def messages(self, sections: list[GradientPart]) -> list[GradientPart]:
        return sections


class Shared(Whole):
    """Works like Whole, but the flat gradient is in memory that all ranks of dp share. So no message contains
    the gradient.

    The ranks of dp must be on one node. Raises CommError otherwise.
    """

    def __init__(self, flat: Flat, dp: Communicator, copies: bool = False):
        super().__init__(flat, dp, copies, algorithm="shared")
        flat.keep_gradient_in(shared_array(dp, flat.grad.shape, flat.grad.dtype, label="gradients"))


class Buckets(GradientReducer):
    """Divides the flat gradient into buckets. The all-reduce of a bucket starts when backward has completed
    the gradients of its parameters.

    Backward completes parameters from the last layer to the first. So buckets are filled from the end of the
    flat gradient, and are numbered in the order in which backward completes them. All ranks must start the
    all-reduces in the same order. So a complete bucket waits until all buckets with lower numbers have
    started.

    Example: three parameters a, b, c of 400 bytes each, size=800. Bucket 0 is [c, b], bucket 1 is [a]. When
    backward has completed c and b, the all-reduce of bucket 0 starts, and backward goes on to a.
    """

    def __init__(self, flat: Flat, dp: Communicator, copies: bool = False, size: int = BUCKET):
        self.size = size
        super().__init__(flat, dp, copies)
        # one set per bucket: the parameters whose gradient is not complete
        self._missing = [set(bucket.parameters) for bucket in self.sections]
        # the parameters whose gradients the current backward completes
        self.expected: set[Parameter] = set()
        self.handles: list[Handle] = []                             # one per started bucket, in order
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
        self.flat.gradient()  # sets the gradient of unreached parameters to zero
        while len(self.handles) < len(self.sections):
            self.start()
        for handle in self.handles:
            handle.wait()
        self.expected, self.handles = set(), []
        self._missing = [set(bucket.parameters) for bucket in self.sections]

    def complete(self, number: int, p: Parameter, gradient: np.ndarray) -> None:
        """Called when backward has computed the gradient of a parameter of bucket `number`."""
        if p not in self.expected:                                 # a later micro-batch adds to this gradient
            return
        self._missing[number].discard(p)
        while len(self.handles) < len(self.sections) and not self._missing[len(self.handles)]:
            self.start()
        for handle in self.handles:                                 # messages progress only during `test`
            handle.test()

    def start(self) -> None:
        """Start the sum of the next bucket."""
        span, _, label, algorithm = self.sections[len(self.handles)]
        part = self.flat.grad[span]
        self.handles.append(start_all_reduce(self.dp, part, label=label, out=part, algorithm=algorithm))

    def _fill(self, section: GradientPart) -> list[GradientPart]:
        """Divides a section into buckets of at most `size` bytes, from its end to its start.

        A parameter with more bytes has its own bucket.
        """
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
    """Divides the flat gradient into one section, or into two: sharded parameters, and replicas.

    The algorithm for replicas must depend only on their size, not on the nodes of this group's ranks.
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
    """Returns the reducer for this layout. "bitwise" has no reducer, see bitwise.py."""
    if layout.gradients == "buckets":
        return Buckets(flat, dp, layout.tp > 1, size=layout.bucket_bytes)
    return REDUCERS[layout.gradients](flat, dp, layout.tp > 1)
