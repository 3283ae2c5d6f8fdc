"""Defines the interface of the weights for optimisers, clipping and checkpoints. A rank holds all elements of
its parameters, or a shard of them.

`Flat` holds all elements in one buffer. `parallel/sharded.py` shards the elements over the ranks of dp
(ZeRO). The optimiser and the trainer work with both in the same way.
"""

# n: number of elements on this rank, k: number of elements of a part
# dp: the axis of data parallelism

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from minipar.nn import Parameter


class Run(NamedTuple):
    """Neighbouring elements that the optimiser changes in the same way. weights, gradient: views [k]. state:
    the slice of the optimiser's state arrays for these elements. decays: true if weight decay applies.
    """

    weights: np.ndarray
    gradient: np.ndarray
    state: slice
    decays: bool


class ParameterStore(ABC):
    """The weights of some parameters and their gradients. There are n elements on this rank.

    If the elements are sharded over ranks, all these ranks must call the methods `..._by_name` and
    `load_weights` together.
    """

    parameters: list[Parameter]

    @abstractmethod
    def zeros(self) -> np.ndarray:
        """Returns a state array of the optimiser [n], with one zero for each element of this rank."""

    @abstractmethod
    def zero_grad(self) -> None:
        """Set the gradients to zero."""

    @abstractmethod
    def runs(self) -> list[Run]:
        """Returns this rank's elements as a list of Run."""

    @abstractmethod
    def gradients(self) -> list[np.ndarray]:
        """Returns the gradient of this rank's elements in one or more arrays [k]."""

    @abstractmethod
    def own_weights(self) -> Iterator[tuple[Parameter, np.ndarray]]:
        """Yields (parameter, view [k] of this rank's elements of the parameter)."""

    @abstractmethod
    def own_gradients(self) -> Iterator[tuple[Parameter, np.ndarray]]:
        """Yields (parameter, view [k] of the gradient of this rank's elements of the parameter)."""

    @abstractmethod
    def weights_by_name(self) -> dict[str, np.ndarray]:
        """Returns a dict: name -> weights, with the parameters' shapes."""

    @abstractmethod
    def gradients_by_name(self) -> dict[str, np.ndarray]:
        """Returns a dict: name -> gradient, with the parameters' shapes."""

    @abstractmethod
    def state_by_name(self, state: np.ndarray) -> dict[str, np.ndarray]:
        """Returns a dict: name -> part of a state array of the optimiser (see `zeros`), with the parameters'
        shapes.
        """

    @abstractmethod
    def load_weights(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Set the weights. arrays: name -> array of the parameter's shape."""

    @abstractmethod
    def load_state(self, state: np.ndarray, arrays: Mapping[str, np.ndarray]) -> None:
        """Set a state array of the optimiser. arrays: name -> array of the parameter's shape."""

    @abstractmethod
    def held(self) -> dict[str, int]:
        """Returns the bytes of this rank's buffers: "weights", "gradients" and "gathered". "gathered" counts
        the buffers for other ranks' elements. These buffers are filled and freed during a step.
        """
