"""A Tensor has an array and a link to the tape.

Every op computes its result with NumPy and records one Node. The node refers to the nodes of the op's inputs.
It also has a `vjp` (vector-Jacobian product) that computes the gradients of the inputs from the gradient of
the output. `minipar.autograd.backward` walks the tape.

Three decisions save memory:
* The tape links nodes, not arrays. A vjp keeps only the arrays that its formula needs. An activation that no
  formula needs is freed immediately, and its memory is reused while it is still in the cache.
* No node refers to its own output. So there are no reference cycles, and memory is freed without the garbage
  collector.
* A leaf (a parameter) is itself a parent on the tape, so its gradient is written directly into its buffer.

A vjp does not copy the arrays that it keeps. So no array may be changed in place between forward and
backward. The optimiser changes the weights only after backward.

All float and complex dtypes are allowed. Every formula is analytic and takes no conjugate, because
`minipar.autograd.hessian` needs this.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minipar.arrays import no_array
from minipar.autograd.autocast_hook import castable
from minipar.autograd.capture_hook import capturable
from minipar.autograd.tape import Contribution, Hook, Node, Tape, TapeParent, Vjp, tape_now
from minipar.errors import GraphError, ShapeError


class Tensor:
    """An n-dimensional array with a gradient.

    data           the values: floats of any dtype; a constant may also hold integers
    node           the node of the op that computed it; None for a leaf
    requires_grad  for a leaf: True if backward computes its gradient
    grad           for a leaf: the sum of the gradients of all calls of backward; None means zero
    grad_buffer    for a leaf: the array for the gradient (a view into a flat buffer); None for a new array

    Raises ShapeError for data that are not numbers (for example another Tensor), and for integers that
    require a gradient.

    >>> import numpy as np, minipar as mp
    >>> w = mp.Tensor(np.array([1.0, 2.0]), requires_grad=True)
    >>> mp.backward((w * w)[1])
    >>> w.grad                                                  # gradient of w[1]^2: 0 and 2 w[1]
    array([0., 4.])
    """

    __slots__ = ("data", "node", "requires_grad", "grad", "grad_buffer", "hooks")
    __array_ufunc__ = None  # array * tensor calls the tensor's __rmul__, not NumPy

    def __init__(self, data: Any, *, requires_grad: bool = False):
        if type(data) is not np.ndarray and (text := _refused(data)):
            raise ShapeError(f"Tensor: data is {text}", item="data")
        self.data = np.asarray(data)
        if self.data.dtype.kind not in ("fc" if requires_grad else "fciu"):
            raise ShapeError(f"Tensor: data is a {type(data).__name__} of dtype {self.data.dtype}; give an "
                             f"array of {'floats, to have a gradient' if requires_grad else 'numbers'}",
                             item="dtype", dtype=str(self.data.dtype))
        self.node: Node | None = None
        self.requires_grad = requires_grad
        self.grad: np.ndarray | None = None
        self.grad_buffer: np.ndarray | None = None
        self.hooks: list[Hook] = []

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def dtype(self) -> np.dtype:
        return self.data.dtype

    @property
    def ndim(self) -> int:
        return self.data.ndim

    @property
    def tape_parent(self) -> TapeParent | None:
        """The parent on the tape that gets the gradient of this tensor. It is the node of an op's result, the
        tensor itself for a leaf, and None for a constant.
        """
        return self.node or (self if self.requires_grad else None)

    def item(self) -> float:
        value: float = self.data.item()
        return value

    def __repr__(self) -> str:
        kind = "op result" if self.node else "leaf" if self.requires_grad else "constant"
        value = f"{self.data.item():.6g}, " if self.data.size == 1 and self.data.dtype.kind in "fiu" else ""
        return f"Tensor({value}{kind}, shape={self.shape}, dtype={self.dtype})"

    def on_grad(self, hook: Hook) -> None:
        """Call `hook(gradient)` once per backward, when this tensor's gradient is complete. The hook must not
        change the gradient.
        """
        if self.tape_parent is None:
            raise GraphError("on_grad: this tensor is a constant, so it gets no gradient")
        self.tape_parent.hooks.append(hook)

    def drop_values(self) -> None:
        """Free the values, but keep the position on the tape. `data` becomes zeros of the same shape and
        dtype, which take the memory of one number. Backward can still start at this tensor. The pipeline
        calls this method for a result that was sent to another rank.
        """
        self.data = np.broadcast_to(self.dtype.type(0), self.shape)

    def zero_grad(self) -> None:
        self.grad = None

    def accumulate(self, contribution: Contribution) -> None:
        """Adds a contribution to the gradient of a leaf. The first contribution overwrites the old values of
        the buffer.
        """
        if self.grad is not None:
            self.grad += contribution(None) if callable(contribution) else contribution
            return
        if callable(contribution):
            self.grad = contribution(self.grad_buffer)
        elif self.grad_buffer is None:
            self.grad = np.array(contribution)  # a copy, because the array may also belong to other tensors
        else:
            self.grad_buffer[...] = contribution
            self.grad = self.grad_buffer
        if self.grad.shape != self.data.shape:
            raise ShapeError(f"backward: a gradient of shape {self.grad.shape} for a leaf of shape "
                             f"{self.data.shape}; the vjp of the op that used the leaf is wrong, or the "
                             "leaf's data was replaced since")

    def __add__(self, other: Any) -> Tensor:
        return add(self, other)

    def __sub__(self, other: Any) -> Tensor:
        return sub(self, other)

    def __mul__(self, other: Any) -> Tensor:
        return mul(self, other)

    def __truediv__(self, other: Any) -> Tensor:
        return div(self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return sub(other, self)

    def __rtruediv__(self, other: Any) -> Tensor:
        return div(other, self)

    def __pow__(self, exponent: float) -> Tensor:
        return power(self, exponent)

    def __neg__(self) -> Tensor:
        return mul(self, -1.0)

    def __matmul__(self, other: Any) -> Tensor:
        return matmul(self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return matmul(other, self)

    def __getitem__(self, index: Any) -> Tensor:
        return take(self, index)

    __radd__ = __add__
    __rmul__ = __mul__


def _refused(data: Any) -> str:
    """Returns the reason why `data` is refused (None, a Tensor, a masked array), or "" if it can become an
    array.
    """
    return no_array(data) if data is None or isinstance(data, Tensor | np.ndarray) else ""


def record(data: np.ndarray, parents: Sequence[Tensor], vjp: Vjp) -> Tensor:
    """Returns the result of an op, and records its node. vjp(g): returns one Contribution per parent. vjp
    must not write into `g`, because other formulas may use `g`.
    """
    out = Tensor(data)
    if tape_now() is not Tape.NOTHING:
        tape_parents = tuple(p.tape_parent for p in parents)
        if any(tape_parent is not None for tape_parent in tape_parents):
            out.node = Node(tape_parents, vjp)
    return out


def as_tensor(value: Any, like: Tensor | None = None) -> Tensor:
    """Returns `value` if it is a Tensor, else a constant. A number gets the float dtype of `like`, so float32
    stays float32.
    """
    if isinstance(value, Tensor):
        return value
    number = isinstance(value, int | float | np.integer)
    return Tensor(np.asarray(value, like.dtype if number and like is not None and like.dtype.kind in "fc"
                             else None))


def _pair(a: Any, b: Any) -> tuple[Tensor, Tensor]:
    a, b = as_tensor(a, b if isinstance(b, Tensor)
                     else None), as_tensor(b, a if isinstance(a, Tensor) else None)
    try:
        np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        raise ShapeError(f"shapes {a.shape} and {b.shape} do not broadcast: their last axes must be equal or "
                         "1") from None
    return a, b


def unbroadcast(g: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Sum `g` over the axes that broadcasting added or stretched. This is the transpose of broadcasting."""
    if g.shape == shape:
        return g
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    stretched = tuple(axis for axis, n in enumerate(shape) if n == 1 and g.shape[axis] != 1)
    return g.sum(axis=stretched, keepdims=True) if stretched else g


# The next functions implement the operators. g is the gradient of the result.

@capturable
def add(a: Any, b: Any) -> Tensor:
    a, b = _pair(a, b)
    a_shape, b_shape = a.shape, b.shape
    return record(a.data + b.data, (a, b), lambda g: (unbroadcast(g, a_shape), unbroadcast(g, b_shape)))


@capturable
def sub(a: Any, b: Any) -> Tensor:
    a, b = _pair(a, b)
    a_shape, b_shape = a.shape, b.shape
    return record(a.data - b.data, (a, b), lambda g: (unbroadcast(g, a_shape), unbroadcast(-g, b_shape)))


@capturable
def mul(a: Any, b: Any) -> Tensor:
    a, b = _pair(a, b)
    x, y = a.data, b.data
    return record(x * y, (a, b), lambda g: (unbroadcast(g * y, x.shape), unbroadcast(g * x, y.shape)))


@capturable
def div(a: Any, b: Any) -> Tensor:
    a, b = _pair(a, b)
    x, y = a.data, b.data
    return record(x / y, (a, b), lambda g: (unbroadcast(g / y, x.shape),
                                            unbroadcast(-g * x / (y * y), y.shape)))


@capturable
def power(a: Tensor, exponent: float) -> Tensor:
    """Returns a ** exponent for a constant exponent."""
    x = a.data
    # exponent 0 has its own case, because 0 * a ** -1 is NaN at a = 0
    return record(x**exponent, (a,), lambda g: (g * exponent * x ** (exponent - 1) if exponent else 0 * g,))


@castable
@capturable
def matmul(a: Any, b: Any) -> Tensor:
    """Returns the matrix product over the last two axes, [..., n, k] @ [..., k, m]. Leading axes broadcast.
    Both arrays need at least two axes.
    """
    a, b = as_tensor(a), as_tensor(b)
    x, y = a.data, b.data
    if x.ndim < 2 or y.ndim < 2 or x.shape[-1] != y.shape[-2]:
        raise ShapeError(f"matmul of {x.shape} and {y.shape}: needs [..., n, k] @ [..., k, m]")

    def vjp(g: np.ndarray) -> tuple[Contribution, ...]:
        return unbroadcast(g @ y.swapaxes(-1, -2), x.shape), unbroadcast(x.swapaxes(-1, -2) @ g, y.shape)

    return record(x @ y, (a, b), vjp)


@capturable
def take(a: Tensor, index: Any) -> Tensor:
    """Returns a[index] with basic or advanced indexing. An element that is taken twice gets both gradients.
    """
    shape, dtype = a.shape, a.dtype

    def vjp(g: np.ndarray) -> tuple[Contribution, ...]:
        full = np.zeros(shape, dtype)
        if _is_basic(index):
            full[index] = g  # each element occurs at most once, so the slow np.add.at is not needed
        else:
            np.add.at(full, index, g)
        return (full,)

    return record(a.data[index], (a,), vjp)


def _is_basic(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return all(part is None or part is Ellipsis or isinstance(part, int | slice) for part in parts)
