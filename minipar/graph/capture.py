"""Capture a function as a graph: run the function, and record each op call as a node.

The function may also compute with NumPy outside the ops, for instance to check its tokens. So one run cannot
show which arrays depend on the inputs. Therefore the function runs twice, with different inputs, and the
arrays of both runs are compared:

    the same in both runs           a constant: a weight, a mask
    equal to one input in both      this input, or a copy of this input
    anything else                   GraphError, since a graph would repeat the old value for new inputs

The ops and their attributes must be the same in both runs, too.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from minipar.arrays import refusal
from minipar.autograd import Tensor, no_grad
from minipar.autograd.capture_hook import observing
from minipar.errors import GraphError, ShapeError
from minipar.graph.counts import count_flops
from minipar.graph.graph import OpGraph, OpNode, Placeholder, read_only, same_bits
from minipar.graph.references import Ref, mapped, refs
from minipar.nn.parameter import Parameter

WRITES = ("capture: the function writes into an input or into the result of an op, which a graph cannot "
          "show; use an op instead, for instance `where`")
Example = np.ndarray | Tensor


def capture(function: Callable[..., Tensor | tuple[Tensor, ...]], *inputs: Example) -> OpGraph:
    """Capture the graph of function(*inputs). The function returns a Tensor or a tuple of Tensors.

    `inputs` are examples, arrays or Tensors. The graph has their shapes and dtypes. For the second
    run, their values are reversed and changed within their range. An array that is equal in both runs counts
    as a constant. For example, a padding mask counts as a constant if no example has padding. The weights are
    copied. If the function communicates, all ranks of its group make this call together.

    Raises GraphError if the function computes something from its inputs outside the ops of
    `minipar.autograd`, or calls other ops for other inputs. Raises ShapeError for an input or a result of
    another type.

    >>> import numpy as np, minipar as mp
    >>> model = mp.GPT(mp.ModelConfig(vocabulary=7, context=4, layers=1, heads=1, width=4))
    >>> graph = capture(model, np.array([[1, 2, 3, 4]]))
    >>> [node.op for node in graph.nodes][:4]
    ['take', 'embedding', 'add', 'layernorm']
    >>> other = np.array([[4, 3, 2, 1]])
    >>> bool((graph.run(other)[0] == model(other).data).all())
    True
    """
    for number, given in enumerate(inputs):
        text = "" if isinstance(given, Tensor) else refusal(given, "fciub")
        if text:
            raise ShapeError(f"capture: input {number} must be an array of numbers or a Tensor, not {text}")
    first = _Recorder(function, inputs)
    second = _Recorder(function, [_changed(given, number) for number, given in enumerate(inputs)])
    if _op_calls(first) != _op_calls(second):
        raise GraphError("capture: for other inputs the function calls other ops, or uses other attributes; "
                         "a graph has only one list of ops")
    return _without_copies_of_inputs(first, second)


def _changed(given: Example, number: int) -> Example:
    """Return other values of the same shape and dtype, in the same range. Two equal inputs get different
    values.
    """
    if isinstance(given, Tensor):
        return Tensor(_changed_array(given.data, number))
    return _changed_array(given, number)


def _changed_array(array: np.ndarray, number: int) -> np.ndarray:
    if not array.size:
        raise GraphError(f"capture: input {number} has no elements; give an example with some")
    turned = np.roll(array.reshape(-1)[::-1], number)
    if array.dtype.kind == "b":
        other = ~array.reshape(-1)
    elif array.dtype.kind in "iu":
        other = turned.min() + (turned.max() - turned)
    else:
        other = turned * array.dtype.type(1.25)
    if np.array_equal(other, array.reshape(-1)):                    # for example, all elements are equal
        other = np.where(other > 0, other - 1, other + 1)
    return other.astype(array.dtype).reshape(array.shape)


class _Recorder:
    """Runs a function, and records its op calls in their order."""

    def __init__(self, function: Callable[..., Any], inputs: Sequence[Example]):
        self.names: dict[int, str] = {}             # id of a Tensor or an array -> its name in the graph
        self.kept: list[Any] = []                   # keeps these objects alive, so that no id is reused
        self.arrays: dict[str, np.ndarray] = {}     # name -> the values
        self.inputs: dict[str, np.ndarray] = {}
        self.constants: dict[str, np.ndarray] = {}
        self.nodes: list[OpNode] = []
        given: list[Example] = []
        for number, x in enumerate(inputs):
            array = read_only(np.array(x.data if isinstance(x, Tensor) else x, order="C"))
            given.append(Tensor(array) if isinstance(x, Tensor) else array)
            self.inputs[self._named(given[-1], f"input.{number}")] = array
        with no_grad(), observing(self._observe):
            try:
                result = function(*given)
            except ValueError as error:
                if "read-only" not in str(error):
                    raise
                raise GraphError(WRITES) from error
        results = result if isinstance(result, tuple) else (result,)
        if not all(isinstance(one, Tensor) for one in results):
            raise ShapeError(f"capture: the function returned a {type(result).__name__}; it must return a "
                             "Tensor or a tuple of Tensors")
        self.outputs = tuple(self._name_of(one) for one in results)

    def _observe(self, op: Callable[..., Tensor], args: tuple[Any, ...], keywords: dict[str, Any]) -> Tensor:
        """Record an op call. Each op calls this method; ops inside an op are not recorded."""
        with observing(None):
            result = op(*args, **keywords)
        arguments = mapped(_signature(op).bind(*args, **keywords).arguments, self._reference)
        if id(result) in self.names:                                # the op returned one of its arguments
            return result
        shapes = [self.arrays[ref.name].shape for ref in refs(arguments)]
        node = OpNode(result.shape, result.dtype, self._fresh(f"{op.__name__}.{len(self.nodes)}"),
                      op.__name__, op, arguments, count_flops(op.__name__, shapes, result.shape),
                      result.data.flags.c_contiguous)
        self.nodes.append(node)
        result.data = read_only(result.data.view())
        self._named(result, node.name)
        return result

    def _reference(self, leaf: Any) -> Any:
        """Return a Ref for an array or a Tensor. Other values are attributes and are returned unchanged."""
        known = isinstance(leaf, Tensor | np.ndarray)
        return Ref(self._name_of(leaf), isinstance(leaf, Tensor)) if known else leaf

    def _name_of(self, value: Tensor | np.ndarray) -> str:
        """Return the name of a value. A value that is not known yet, or a changed constant, becomes a new
        constant.
        """
        array = value.data if isinstance(value, Tensor) else value
        known = self.names.get(id(value))
        if known and known not in self.constants:
            if array is not self.arrays[known]:
                raise GraphError(WRITES)
            return known
        if known and same_bits(self.constants[known], array):
            return known
        name = self._fresh(value.name if isinstance(value, Parameter) else f"constant.{len(self.constants)}")
        self.constants[name] = read_only(np.array(array))
        return self._named(value, name)

    def _fresh(self, name: str) -> str:
        while name in self.arrays:                                  # for instance, a parameter called add.3
            name += "'"
        return name

    def _named(self, value: Tensor | np.ndarray, name: str) -> str:
        self.names[id(value)] = name
        self.arrays[name] = value.data if isinstance(value, Tensor) else value
        self.kept.append(value)
        return name


@lru_cache
def _signature(op: Callable[..., Tensor]) -> inspect.Signature:
    return inspect.signature(op)


def _op_calls(run: _Recorder) -> list[object]:
    """Return everything that must be equal in both runs: ops, attributes, names and shapes. Values may
    differ.
    """
    sizes = [(name, array.shape, array.dtype) for name, array in run.constants.items()]
    return [run.outputs, sizes,
            *((node.op, node.shape, node.dtype, repr(node.arguments)) for node in run.nodes)]


def _without_copies_of_inputs(first: _Recorder, second: _Recorder) -> OpGraph:
    """Return the graph of both runs. A constant that equals an input in both runs is replaced by this input.
    """
    renamed: dict[str, str] = {}
    for name, array in first.constants.items():
        if not same_bits(array, second.constants[name]):
            renamed[name] = _input_behind(name, first, second)
    constants = {name: array for name, array in first.constants.items() if name not in renamed}
    inputs = {name: Placeholder(array.shape, array.dtype) for name, array in first.inputs.items()}
    return OpGraph(inputs, constants, tuple(node.reading(renamed) for node in first.nodes),
                   tuple(renamed.get(name, name) for name in first.outputs))


def _input_behind(name: str, first: _Recorder, second: _Recorder) -> str:
    """Return the name of the input that this array copies. The values of the array differ between the runs.
    """
    equal = [one for one in first.inputs
             if all(same_bits(run.constants[name], run.inputs[one]) for run in (first, second))]
    if len(equal) != 1:
        reader = next((node.op for node in first.nodes if name in node.inputs), "the result")
        raise GraphError(f"capture: {reader} reads an array of shape {first.constants[name].shape} that was "
                         "computed from an input outside the ops of minipar.autograd" if not equal else
                         f"capture: {reader} reads a copy of {' or '.join(equal)}; give inputs with other "
                         "values, so that they can be distinguished")
    return equal[0]
