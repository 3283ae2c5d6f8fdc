"""A graph is a list of nodes. Each node has an op and the names of the values that it reads.

    inputs      values that are given to each run, for instance tokens
    constants   values that are the same in each run, for instance weights
    nodes       op calls; each comes after the nodes that it reads
    outputs     the names of the results

A graph is never changed. A pass returns another graph. The values have fixed shapes, because attributes such
as the shape of a `reshape` are part of the graph.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from minipar.arrays import no_array
from minipar.autograd import Tensor, no_grad
from minipar.errors import ShapeError
from minipar.graph.references import Ref, mapped, refs


def read_only(array: np.ndarray) -> np.ndarray:
    """Make the array read-only and return it. Constants of a graph are read-only."""
    array.setflags(write=False)
    return array


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Returns True if both arrays have the same dtype, shape and bits. So 0.0 and -0.0 differ, but a NaN
    equals itself.

    >>> same_bits(np.array([0.0]), np.array([-0.0])), same_bits(np.array([np.nan]), np.array([np.nan]))
    (False, True)
    """
    return (a.shape, a.dtype) == (b.shape, b.dtype) and a.tobytes() == b.tobytes()


@dataclass(frozen=True)
class Placeholder:
    """Holds the shape and the dtype of an input."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize


@dataclass(frozen=True)
class OpNode(Placeholder):
    """A node holds one op call, and the shape and the dtype of its result.

    `function` maps Tensors and arrays to a Tensor. `arguments` holds its arguments by name, with a Ref for
    each value of the graph. counts.py computes `flops`. `in_rows` is True if the result lies in memory row by
    row (C order). A transposed result does not. NumPy sums such a result in another order, so the bits of the
    sum can differ.
    """

    name: str
    op: str
    function: Callable[..., Tensor]
    arguments: Mapping[str, Any]
    flops: int = 0
    in_rows: bool = True

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """The names of the values that this node reads. A value that is read twice occurs twice."""
        return tuple(ref.name for ref in refs(dict(self.arguments)))

    def compute(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """Compute the result from the values of the inputs."""
        def value(leaf: Any) -> Any:
            if not isinstance(leaf, Ref):
                return leaf
            return Tensor(values[leaf.name]) if leaf.tensor else values[leaf.name]

        return self.function(**mapped(dict(self.arguments), value)).data

    def reading(self, renamed: Mapping[str, str]) -> OpNode:
        """Return a copy of the node that reads renamed[name] instead of `name`."""
        if not any(name in renamed for name in self.inputs):
            return self
        return replace(self, arguments=mapped(dict(self.arguments), lambda leaf: replace(
            leaf, name=renamed.get(leaf.name, leaf.name)) if isinstance(leaf, Ref) else leaf))


@dataclass(frozen=True)
class OpGraph:
    """Describes a computation with fixed shapes (see the module docstring). `capture` makes a graph from a
    function.

    `inputs` and `constants` are dictionaries by name. `nodes` are ordered: each comes after the nodes that it
    reads. `outputs` are names of values.

    >>> import numpy as np
    >>> from minipar.graph import capture
    >>> from minipar.autograd import tanh
    >>> graph = capture(lambda x: tanh(x) * 2.0, Tensor(np.array([0.0, 1.0])))
    >>> [node.op for node in graph.nodes]
    ['tanh', 'mul']
    >>> graph.run(np.array([0.0, 0.0]))
    (array([0., 0.]),)
    """

    inputs: Mapping[str, Placeholder]
    constants: Mapping[str, np.ndarray]
    nodes: tuple[OpNode, ...]
    outputs: tuple[str, ...]

    def run(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        """Compute the outputs for these inputs. Inputs that are not in C order in memory are copied. Raises
        ShapeError for a wrong number of inputs, a wrong shape or a wrong dtype.

        A value is freed after the last node that reads it.
        """
        self._check(arrays)
        in_rows = (np.asarray(array, order="C") for array in arrays)
        values = {**self.constants, **dict(zip(self.inputs, in_rows, strict=True))}
        with no_grad():
            for node, freed in zip(self.nodes, self._freed, strict=True):
                values[node.name] = node.compute(values)
                for name in freed:
                    del values[name]
        return tuple(values[name] for name in self.outputs)

    def _check(self, arrays: tuple[np.ndarray, ...]) -> None:
        if len(arrays) != len(self.inputs):
            raise ShapeError(f"the graph has {len(self.inputs)} inputs, not {len(arrays)}")
        for (name, wanted), array in zip(self.inputs.items(), arrays, strict=True):
            text = no_array(array)
            if not text and (array.shape, array.dtype) != (wanted.shape, wanted.dtype):
                text = f"{array.dtype} {array.shape}; capture the function again for another shape"
            if text:
                raise ShapeError(f"{name} of the graph is an array of {wanted.dtype} {wanted.shape}, not "
                                 f"{text}")

    @cached_property
    def _freed(self) -> list[set[str]]:
        """Return one set per node: the values that no later node reads."""
        last = {name: number for number, node in enumerate(self.nodes) for name in (*node.inputs, node.name)}
        freed: list[set[str]] = [set() for _ in self.nodes]
        for name, number in last.items():
            if name not in self.outputs:
                freed[number].add(name)
        return freed

    @cached_property
    def reads(self) -> Counter[str]:
        """Counts the readers of each value: nodes, and outputs of the graph."""
        return Counter([name for node in self.nodes for name in node.inputs] + list(self.outputs))

    @cached_property
    def makers(self) -> dict[str, OpNode]:
        """Map the name of each value to the node that computes it."""
        return {node.name: node for node in self.nodes}

    def read_once(self, ref: Any) -> OpNode | None:
        """Return the node that computes the value, if the value has only one reader; otherwise None."""
        known = isinstance(ref, Ref) and self.reads[ref.name] == 1
        return self.makers.get(ref.name) if known else None

    def fresh(self, name: str) -> str:
        """Return an unused name: `name`, followed by apostrophes if necessary."""
        while name in self.constants or name in self.inputs or name in self.makers:
            name += "'"
        return name

    def is_constant(self, ref: Any) -> bool:
        return isinstance(ref, Ref) and ref.name in self.constants

    def has_one_dtype(self, dtype: np.dtype, arguments: Mapping[str, Any]) -> bool:
        """Returns True if all values among the arguments have this dtype."""
        return all(self.size_of(ref.name).dtype == dtype for ref in refs(dict(arguments)))

    def size_of(self, name: str) -> Placeholder:
        """Return the shape and the dtype of a value."""
        if name in self.constants:
            array = self.constants[name]
            return Placeholder(array.shape, array.dtype)
        return self.inputs[name] if name in self.inputs else self.makers[name]
