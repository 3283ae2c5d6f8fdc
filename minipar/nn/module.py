"""A Module is a named part of a model. It has parameters, smaller modules, and a method `forward`. A module
stores no activations and no state of a training run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from minipar.arrays import refusal
from minipar.errors import ConfigError, ShapeError
from minipar.nn.parameter import Parameter


class Module:
    """The base class of all modules. A subclass calls super().__init__(name), sets parameters, modules or
    lists of modules as attributes, and defines `forward`.

    `module(x)` is `module.forward(x)`. Modules call `forward` of other modules directly. So the call stack
    has no additional frame, and mypy knows the type of the result.
    """

    def __init__(self, name: str):
        self.name = name

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"{type(self).__name__} has no forward; write one")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    def modules(self) -> list[Module]:
        """Returns this module and all modules in it. Each module occurs once, in the order of assignment."""
        found = [self]
        for value in vars(self).values():
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, Module):
                    found += item.modules()
        return list(dict.fromkeys(found))

    def parameters(self) -> list[Parameter]:
        """Returns every parameter once, in the order of assignment. A parameter that is assigned twice counts
        at its first assignment.

        Raises ConfigError if two parameters have the same name. Such parameters would start with equal
        values, and only one of the two would be saved.
        """
        found = dict.fromkeys(value for module in self.modules() for value in vars(module).values()
                              if isinstance(value, Parameter))
        names = Counter(p.name for p in found)
        if len(names) < len(found):
            name, count = names.most_common(1)[0]
            raise ConfigError(f"{self.name}: {count} parameters are called {name}; give their modules names "
                              "of their own", item=self.name)
        return list(found)

    def initialise(self, seed: int = 0, dtype: DTypeLike = np.float32) -> None:
        """Gives every parameter its initial value. The value depends only on the parameter's name, its whole
        shape and the seed.
        """
        for p in self.parameters():
            p.initialise(seed, np.dtype(dtype))

    def zero_grad(self) -> None:
        for p in self.parameters():
            p.zero_grad()

    def state_dict(self) -> dict[str, np.ndarray]:
        """Returns a dict: name -> a copy of this rank's values."""
        return {p.name: p.data.copy() for p in self.parameters()}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Copy values into the existing arrays. Raises ShapeError if names or shapes differ, or if values are
        not floats (strings, complex numbers, masked arrays). In this case no array has changed.
        """
        parameters = self.parameters()
        if wrong := set(state) ^ {p.name for p in parameters}:
            raise ShapeError(f"load_state_dict: only one side has {', '.join(sorted(wrong)[:3])} "
                             f"({len(wrong)} names differ)", item=min(wrong), count=len(wrong))
        for p in parameters:
            if text := refusal(state[p.name], "f"):
                raise ShapeError(f"load_state_dict: {p.name} needs an array of floats, not {text}",
                                 item=p.name)
            if state[p.name].shape != p.shape:
                raise ShapeError(f"load_state_dict: {p.name} has shape {state[p.name].shape}, the model "
                                 f"needs {p.shape}", item=p.name)
        for p in parameters:
            p.data[...] = state[p.name]
