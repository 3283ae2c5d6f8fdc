"""Some more training of a model that is there: after pruning, with rounded weights, beside a teacher.

Shorter than `minipar.train`: one process, any loss, and something to be done after each step, such as putting zeros back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from minipar.autograd import Tensor, backward
from minipar.nn import Parameter
from minipar.optim import AdamW, Flat, clip_by_global_norm, cosine, warm_up

Batch = tuple[np.ndarray, np.ndarray]


def fine_tune(loss: Callable[[np.ndarray, np.ndarray], Tensor], parameters: Sequence[Parameter],
              batches: Callable[[int], Batch], steps: int, lr: float, *, after: Callable[[int], object] = lambda step: None,
              weight_decay: float = 0.0) -> list[float]:
    """AdamW for `steps` steps, the rate falling to a tenth of `lr` along a cosine; returns the losses, one per step.

    loss(tokens, targets) -> a scalar; batches(step) -> tokens and targets [B, T]; after(step) is called when a step is done.
    The parameters' arrays become views of one buffer (see Flat).
    """
    flat = Flat(parameters)
    optimizer = AdamW(flat, weight_decay=weight_decay)
    warm = min(steps // 10, 20)
    rate = warm_up(cosine(lr, lr / 10, steps - warm), warm)
    losses = []
    for step in range(steps):
        flat.zero_grad()
        value = loss(*batches(step))
        backward(value)
        clip_by_global_norm(flat.gradient(), 1.0)
        optimizer.step(rate(step))
        after(step)
        losses.append(value.item())
    return losses
