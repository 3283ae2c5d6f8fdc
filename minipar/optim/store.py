"""The interface of the weights for an optimiser, clipping and checkpoints. A rank holds all elements of its
parameters, or a shard of them.

`Flat` holds all elements in one buffer. `parallel/sharded.py` shards them over the ranks of dp (ZeRO).
Neither the optimiser nor the trainer needs to know which of the two it works on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from minipar.nn import Parameter


class Run(NamedTuple):
    """Neighbouring elements that the optimiser changes in the same way. weights, gradient: views [k]. state:
    where their numbers are in the optimiser's state. decays: whether weight decay applies.
    """

    weights: np.ndarray
    gradient: np.ndarray
    state: slice
    decays: bool


class ParameterStore(ABC):
    """The weights of some parameters and their gradients, n elements on this rank.

    If the elements are sharded over ranks, all these ranks call the methods `..._by_name` and `load_weights`
    together.
    """

    parameters: list[Parameter]

    @abstractmethod
    def zeros(self) -> np.ndarray:
        """A state array of the optimiser: one zero for each element of this rank, [n]."""

    @abstractmethod
    def zero_grad(self) -> None:
        """Set the gradients to zero."""

    @abstractmethod
    def runs(self) -> list[Run]:
        """The elements of this rank, as the optimiser needs them."""

    @abstractmethod
    def gradients(self) -> list[np.ndarray]:
        """The gradient of this rank's elements, in one or more arrays [k]."""

    @abstractmethod
    def own_weights(self) -> Iterator[tuple[Parameter, np.ndarray]]:
        """Parameters, each with this rank's elements of it, a view [k]."""

    @abstractmethod
    def own_gradients(self) -> Iterator[tuple[Parameter, np.ndarray]]:
        """Parameters, each with the gradient of this rank's elements of it, a view [k]."""

    @abstractmethod
    def weights_by_name(self) -> dict[str, np.ndarray]:
        """The weights, arrays of the parameters' shapes."""

    @abstractmethod
    def gradients_by_name(self) -> dict[str, np.ndarray]:
        """The gradients, arrays of the parameters' shapes."""

    @abstractmethod
    def state_by_name(self, state: np.ndarray) -> dict[str, np.ndarray]:
        """A state array of the optimiser (see `zeros`), as arrays of the parameters' shapes."""

    @abstractmethod
    def load_weights(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Set the weights. arrays: name -> array of the parameter's shape."""

    @abstractmethod
    def load_state(self, state: np.ndarray, arrays: Mapping[str, np.ndarray]) -> None:
        """Set a state array of the optimiser. arrays: name -> array of the parameter's shape."""

    @abstractmethod
    def held(self) -> dict[str, int]:
        """The bytes of this rank's buffers: "weights", "gradients", and "gathered", the buffers for
        other ranks' elements, which are filled and freed during a step.
        """
