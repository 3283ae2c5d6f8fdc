"""Stores all parameters in one buffer, and all gradients in another buffer.

One buffer has three advantages. First, an optimiser step passes over all parameters a dozen times. With one
buffer, the step works in blocks that stay in the cache, whatever the shapes of the parameters are. Second,
backward writes weight gradients directly into the buffer. Third, data parallelism can reduce the whole
gradient in one or two messages. Tensor parallelism (tp) shards some of the parameters, so they are stored in
four groups:

    sharded vectors | sharded matrices | whole matrices | whole vectors
                    |<--------- weight decay --------->|
    a part on each rank of tp          | the same on all ranks of tp

Weight decay is only for matrices, and all matrices form one slice. The parameters that every rank of tp holds
whole (positions, LayerNorms, some biases) also form one slice, which has the same length on each rank.
Without tensor parallelism, all parameters are whole.
"""

# n: number of elements of all parameters on this rank

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from minipar.arrays import wrong_kind
from minipar.errors import GraphError, ShapeError
from minipar.nn import Parameter
from minipar.optim.store import ParameterStore, Run


class Flat(ParameterStore):
    """Moves the parameters into a buffer `data` [n] and their gradients into `grad` [n]. All parameters have
    one dtype.

    decayed: the slice of the matrices. whole: the slice of the parameters that are not sharded; the sharded
    parameters come before it. Each parameter's `data` becomes a view into the buffer. Raises ShapeError if
    dtypes differ.
    """

    def __init__(self, parameters: Sequence[Parameter]):
        if len(dtypes := sorted({str(p.dtype) for p in parameters})) != 1:
            raise ShapeError("Flat: parameters of one dtype are needed, got "
                             f"{' and '.join(dtypes) or 'no parameters'}", item="parameters")
        if text := wrong_kind(np.dtype(dtypes[0]), "f"):
            raise ShapeError(f"Flat: parameters must be floats, not {text}")
        self.numbers = {p: number for number, p in enumerate(parameters)}  # numbered in the model's order
        self.parameters = sorted(parameters, key=_group)  # stable: keeps the model's order within a group
        ends = np.cumsum([p.data.size for p in self.parameters])
        self.slices = [slice(int(end) - p.data.size, int(end))
                       for p, end in zip(self.parameters, ends, strict=True)]
        sizes = [sum(p.data.size for p in parameters if _group(p) == group) for group in range(4)]
        self.decayed = slice(sizes[0], sum(sizes[:3]))
        self.whole = slice(sum(sizes[:2]), sum(sizes))
        self.data = np.concatenate([p.data.reshape(-1) for p in self.parameters])
        for p, span in zip(self.parameters, self.slices, strict=True):
            p.data = self.data[span].reshape(p.shape)
        self.keep_gradient_in(np.zeros_like(self.data))

    def keep_gradient_in(self, buffer: np.ndarray) -> None:
        """Use this buffer [n] for the gradient from now on. The old gradient is lost.

        Raises ShapeError if the buffer has another length or dtype.
        """
        if (buffer.shape, buffer.dtype) != (self.data.shape, self.data.dtype):
            raise ShapeError(f"Flat: a gradient of shape {self.data.shape} and {self.data.dtype} does not "
                             f"fit into a buffer of shape {buffer.shape} and {buffer.dtype}")
        self.grad = buffer
        for p, span in zip(self.parameters, self.slices, strict=True):
            p.grad, p.grad_buffer = None, buffer[span].reshape(p.shape).view(np.ndarray)

    def gradient(self) -> np.ndarray:
        """Returns the whole gradient [n]. A parameter that backward did not reach has gradient zero.

        Raises GraphError if the program has replaced a parameter's `grad` by another array.
        """
        for p in self.parameters:
            assert p.grad_buffer is not None
            if p.grad is None:
                p.grad_buffer[...] = 0
            elif p.grad is not p.grad_buffer:
                raise GraphError(f"Flat: the gradient of {p.name} was replaced by another array, which the "
                                 "flat buffer does not see; change it in place: p.grad[...] = ...")
        return self.grad

    def keep_weights_in(self, buffer: np.ndarray) -> None:
        """Move the weights into this buffer [n]. Raises ShapeError if the buffer has another length or dtype.
        """
        if (buffer.shape, buffer.dtype) != (self.data.shape, self.data.dtype):
            raise ShapeError(f"Flat: weights of shape {self.data.shape} and {self.data.dtype} do not fit "
                             f"into a buffer of shape {buffer.shape} and {buffer.dtype}")
        buffer[...] = self.data
        self.data = buffer
        for p, span in zip(self.parameters, self.slices, strict=True):
            p.data = buffer[span].reshape(p.shape).view(np.ndarray)

    def zero_grad(self) -> None:
        for p in self.parameters:
            p.grad = None

    def zeros(self) -> np.ndarray:
        return np.zeros_like(self.data)

    def runs(self) -> list[Run]:
        gradient, start, stop = self.gradient(), self.decayed.start, self.decayed.stop
        spans = ((slice(0, start), False), (self.decayed, True), (slice(stop, len(self.data)), False))
        return [Run(self.data[span], gradient[span], span, decays) for span, decays in spans]

    def gradients(self) -> list[np.ndarray]:
        return [self.gradient()]

    def own_weights(self) -> Iterator[tuple[Parameter, np.ndarray]]:
        return self._own(self.data)

    def own_gradients(self) -> Iterator[tuple[Parameter, np.ndarray]]:
        return self._own(self.gradient())

    def _own(self, buffer: np.ndarray) -> Iterator[tuple[Parameter, np.ndarray]]:
        return ((p, buffer[span]) for p, span in zip(self.parameters, self.slices, strict=True))

    def weights_by_name(self) -> dict[str, np.ndarray]:
        return self.by_name(self.data)

    def gradients_by_name(self) -> dict[str, np.ndarray]:
        return self.by_name(self.gradient())

    def state_by_name(self, state: np.ndarray) -> dict[str, np.ndarray]:
        return self.by_name(state)

    def load_weights(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.load_state(self.data, arrays)

    def load_state(self, state: np.ndarray, arrays: Mapping[str, np.ndarray]) -> None:
        for name, view in self.by_name(state).items():
            view[...] = arrays[name]

    def held(self) -> dict[str, int]:
        return {"weights": self.data.nbytes, "gradients": self.grad.nbytes, "gathered": 0}

    def by_name(self, buffer: np.ndarray) -> dict[str, np.ndarray]:
        """Returns a dict: name -> view into a buffer [n] with the order of `data`. The view has the
        parameter's shape.
        """
        return {p.name: buffer[span].reshape(p.shape)
                for p, span in zip(self.parameters, self.slices, strict=True)}


def _group(p: Parameter) -> int:
    """Returns the number of the parameter's group (see the module docstring)."""
    if p.is_sharded:
        return 1 if p.ndim >= 2 else 0
    return 2 if p.ndim >= 2 else 3
