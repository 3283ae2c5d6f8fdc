"""All parameters in one buffer, all gradients in another.

An optimiser step is a dozen memory-bound passes over every parameter. On one long buffer they run in blocks
that stay in the cache, whatever the number and shapes of the parameters; backward writes weight gradients
straight into their place; and data parallelism can reduce the whole gradient in one message or two. The
parameters stand in four groups:

    cut vectors | cut matrices | whole matrices | whole vectors
                |<------- weight decay ------->|
    a part on each rank of tp  |  the same on all ranks of tp

So weight decay, which is for matrices alone, concerns one run of elements; and so does what every rank of tp
holds whole (positions, LayerNorms, some biases), which has the same length on each of them. On one rank of
tp, everything is whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minipar.arrays import wrong_kind
from minipar.errors import GraphError, ShapeError
from minipar.nn import Parameter


class Flat:
    """Moves the parameters, all of one dtype, into a buffer `data` [n] and their gradients into `grad` [n].

    decayed: where the matrices are. whole: where the parameters are that are not cut; the cut ones stand
    before them. Each parameter's `data` becomes a view. Raises ShapeError where dtypes differ.
    """

    def __init__(self, parameters: Sequence[Parameter]):
        if len(dtypes := sorted({str(p.dtype) for p in parameters})) != 1:
            raise ShapeError("Flat: parameters of one dtype are needed, got "
                             f"{' and '.join(dtypes) or 'no parameters'}")
        if text := wrong_kind(np.dtype(dtypes[0]), "f"):
            raise ShapeError(f"Flat: parameters must be floats, not {text}")
        self.numbers = {p: number for number, p in enumerate(parameters)}       # in the model's order
        self.parameters = sorted(parameters, key=_group)  # stable: the model's order within each group
        ends = np.cumsum([p.data.size for p in self.parameters])
        self.slices = [slice(int(end) - p.data.size, int(end)) for p,
                       end in zip(self.parameters, ends, strict=True)]
        sizes = [sum(p.data.size for p in parameters if _group(p) == group) for group in range(4)]
        self.decayed = slice(sizes[0], sum(sizes[:3]))
        self.whole = slice(sum(sizes[:2]), sum(sizes))
        self.data = np.concatenate([p.data.reshape(-1) for p in self.parameters])
        for p, span in zip(self.parameters, self.slices, strict=True):
            p.data = self.data[span].reshape(p.shape)
        self.keep_gradient_in(np.zeros_like(self.data))

    def keep_gradient_in(self, buffer: np.ndarray) -> None:
        """Use this buffer [n] for the gradient from now on; the gradient that was there is forgotten.

        Raises ShapeError where it has another length or dtype.
        """
        if (buffer.shape, buffer.dtype) != (self.data.shape, self.data.dtype):
            raise ShapeError(f"Flat: a gradient of shape {self.data.shape} and {self.data.dtype} does not "
                             f"fit into a buffer of shape {buffer.shape} and {buffer.dtype}")
        self.grad = buffer
        for p, span in zip(self.parameters, self.slices, strict=True):
            p.grad, p.grad_buffer = None, buffer[span].reshape(p.shape).view(np.ndarray)

    def gradient(self) -> np.ndarray:
        """The whole gradient [n]. A parameter that backward did not reach has gradient zero.

        Raises GraphError where somebody has put another array into a parameter's `grad`.
        """
        for p in self.parameters:
            assert p.grad_buffer is not None
            if p.grad is None:
                p.grad_buffer[...] = 0
            elif p.grad is not p.grad_buffer:
                raise GraphError(f"Flat: the gradient of {p.name} was replaced by another array, which the "
                                 "flat buffer does not see; change it in place: p.grad[...] = ...")
        return self.grad

    def zero_grad(self) -> None:
        for p in self.parameters:
            p.grad = None

    def by_name(self, buffer: np.ndarray) -> dict[str, np.ndarray]:
        """Views into a buffer of this layout [n] as arrays of the parameters' shapes."""
        return {p.name: buffer[span].reshape(p.shape) for p,
                span in zip(self.parameters, self.slices, strict=True)}


def _group(p: Parameter) -> int:
    """Which of the four groups: see the top of this file."""
    if p.is_sharded:
        return 1 if p.ndim >= 2 else 0
    return 2 if p.ndim >= 2 else 3
