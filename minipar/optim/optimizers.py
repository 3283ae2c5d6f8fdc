"""Implements SGD, Adagrad, Adam and AdamW over flat buffers.

Each optimiser has one function `update`. It changes a block of parameters and their state in place.
`Optimizer.step` calls `update` for blocks that stay in the cache. So a dozen passes over a block cost little
more than one pass.
"""

# k: number of elements of a block

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from minipar.errors import ConfigError, RangeError
from minipar.optim.store import ParameterStore, Run

BLOCK = 64 * 1024  # elements; small enough for the cache, and large enough to hide the cost of a call


class Optimizer:
    """The base class of all optimisers. slots: the names of the state arrays. steps: the number of finished
    steps. weight_decay: applied only to matrices.
    """

    slots: tuple[str, ...] = ()

    def __init__(self, flat: ParameterStore, *, weight_decay: float = 0.0):
        self.flat, self.weight_decay, self.steps = flat, weight_decay, 0
        self.state = {slot: flat.zeros() for slot in self.slots}
        self._room = np.empty_like(flat.zeros()[:BLOCK])

    def update(self, p: np.ndarray, g: np.ndarray, room: np.ndarray, lr: float, decay: float,
               *state: np.ndarray) -> None:
        """Change the block p [k] and its state in place. g [k]: the gradient of the block, which may be
        overwritten. room [k]: a scratch buffer.
        """
        raise TypeError(f"{type(self).__name__} has no update; write one")

    def step(self, lr: float) -> None:
        """Run one step with learning rate `lr` and the gradients in the buffer."""
        self.step_on(self.flat.runs(), lr)

    def step_on(self, runs: Sequence[Run], lr: float) -> None:
        """Run one step only for the elements of `runs`."""
        self.steps += 1
        for run in runs:
            parts, decay = [part[run.state] for part in self.state.values()], run.decays * self.weight_decay
            for i in range(0, len(run.weights), BLOCK):
                block = slice(i, i + BLOCK)
                weights = run.weights[block]
                self.update(weights, run.gradient[block], self._room[: len(weights)], lr, decay,
                            *(part[block] for part in parts))


class SGD(Optimizer):
    """The update is p -= lr v with v = momentum v + g. Without momentum, v = g. Weight decay adds decay * p
    to g.
    """

    def __init__(self, flat: ParameterStore, *, momentum: float = 0.0, weight_decay: float = 0.0):
        self.momentum, self.slots = momentum, ("velocity",) if momentum else ()
        super().__init__(flat, weight_decay=weight_decay)

    def update(self, p: np.ndarray, g: np.ndarray, room: np.ndarray, lr: float, decay: float,
               *state: np.ndarray) -> None:
        _add_decay(p, g, room, decay)
        for velocity in state:
            velocity *= self.momentum
            velocity += g
            g = velocity
        p -= np.multiply(g, lr, out=room)


class Adagrad(Optimizer):
    """The update is p -= lr g / (sqrt(s) + eps). s is the sum of all g^2 so far (Duchi, Hazan and Singer
    2011).
    """

    slots = ("squares",)

    def __init__(self, flat: ParameterStore, *, eps: float = 1e-10, weight_decay: float = 0.0):
        self.eps = eps
        super().__init__(flat, weight_decay=weight_decay)

    def update(self, p: np.ndarray, g: np.ndarray, room: np.ndarray, lr: float, decay: float,
               *state: np.ndarray) -> None:
        (squares,) = state
        _add_decay(p, g, room, decay)
        add_squares(squares, g, room)
        np.sqrt(squares, out=room)
        room += self.eps
        np.divide(g, room, out=room)
        room *= lr
        p -= room


class Adam(Optimizer):
    """The update is p -= lr m' / (sqrt(v') + eps). m' and v' are bias-corrected decayed means of g and g^2
    (Kingma and Ba 2015).

    Let M = sum of beta1^i g and V = sum of beta2^i g^2. Then the means are m' = c1 M and v' = c2^2 V, with c1
    = (1 - beta1) / (1 - beta1^t) and c2^2 = (1 - beta2) / (1 - beta2^t), where t is the number of steps. The
    state keeps M and V. So a step needs only two numbers, lr c1 / c2 and eps / c2: p -= (lr c1 / c2) M /
    (sqrt(V) + eps / c2). Raises ConfigError for betas outside [0, 1).
    """

    slots = ("gradients", "squares")                                # M and V

    def __init__(self, flat: ParameterStore, *, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0.0):
        if not all(0 <= beta < 1 for beta in betas):
            raise ConfigError(f"Adam: betas are {betas}; choose numbers from 0 to below 1")
        self.betas, self.eps = betas, eps
        super().__init__(flat, weight_decay=weight_decay)

    def update(self, p: np.ndarray, g: np.ndarray, room: np.ndarray, lr: float, decay: float,
               *state: np.ndarray) -> None:
        _add_decay(p, g, room, decay)
        self._move(p, g, room, lr, *state)

    def _move(self, p: np.ndarray, g: np.ndarray, room: np.ndarray, lr: float,
              gradients: np.ndarray, squares: np.ndarray) -> None:
        beta1, beta2 = self.betas
        c1 = (1 - beta1) / (1 - beta1**self.steps)
        c2 = math.sqrt((1 - beta2) / (1 - beta2**self.steps))
        gradients *= beta1
        gradients += g
        squares *= beta2
        add_squares(squares, g, room)
        np.sqrt(squares, out=room)
        room += self.eps / c2
        np.divide(gradients, room, out=room)
        room *= lr * c1 / c2
        p -= room


class AdamW(Adam):
    """Differs from Adam in the weight decay: the update is p *= 1 - lr decay, and the gradient has no decay
    (Loshchilov and Hutter 2019).
    """

    def __init__(self, flat: ParameterStore, *, betas: tuple[float, float] = (0.9, 0.99), eps: float = 1e-8,
                 weight_decay: float = 0.1):
        super().__init__(flat, betas=betas, eps=eps, weight_decay=weight_decay)

    def update(self, p: np.ndarray, g: np.ndarray, room: np.ndarray, lr: float, decay: float,
               *state: np.ndarray) -> None:
        if decay:
            p *= 1 - lr * decay
        self._move(p, g, room, lr, *state)


def add_squares(squares: np.ndarray, g: np.ndarray, room: np.ndarray) -> None:
    """Compute squares += g^2. Raises RangeError if the square of a finite gradient is beyond the range of the
    dtype. Such a square would make the sum infinite, and the parameter would never change again. The
    processor's overflow flag shows an overflow, so no extra pass is needed.
    """
    def overflowed(kind: str, flag: int) -> None:
        raise RangeError(f"optimiser: the square of a gradient of {np.abs(g).max():.3g} is beyond {g.dtype}; "
                         "clip the gradient, or lower the learning rate")

    with np.errstate(over="call", call=overflowed):
        squares += np.multiply(g, g, out=room)


def _add_decay(p: np.ndarray, g: np.ndarray, room: np.ndarray, decay: float) -> None:
    if decay:
        g += np.multiply(p, decay, out=room)


OPTIMIZERS: dict[str, type[Optimizer]] = {"sgd": SGD, "adagrad": Adagrad, "adam": Adam, "adamw": AdamW}
