"""Fine-tunes a trained model: after pruning, with fake quantisation, or with a teacher.

The function is simpler than `minipar.training.trainer`: it runs on one process. It accepts any loss, any
optimiser (such as `Masked` in prune/), and a function that it calls after each step.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from minipar.autograd import Tensor, backward
from minipar.errors import DivergenceError
from minipar.optim import Optimizer, clip_by_global_norm, cosine, warm_up

Samples = tuple[np.ndarray, np.ndarray]


def fine_tune(loss: Callable[[np.ndarray, np.ndarray], Tensor], optimizer: Optimizer,
              batches: Callable[[int], Samples],
              steps: int, lr: float, *, after: Callable[[], object] = lambda: None) -> list[float]:
    """Train for `steps` steps, and return one loss per step. After a short warm-up, the learning rate falls
    from `lr` to a tenth of it along a cosine.

    loss(tokens, targets): returns a scalar. batches(step): returns tokens and targets [B, T]. after(): a
    function that is called after each step. Gradients are clipped to a norm of 1. Raises DivergenceError if
    the loss or the gradient is not finite. Then the weights keep the values of the previous step.
    """
    warm = min(steps // 10, 20)
    rate = warm_up(cosine(lr, lr / 10, steps - warm), warm)
    losses = []
    for step in range(steps):
        optimizer.flat.zero_grad()
        value = loss(*batches(step))
        backward(value)
        (gradient,) = optimizer.flat.gradients()
        norm = clip_by_global_norm(gradient, 1.0)
        if not math.isfinite(value.item() + norm):
            raise DivergenceError(f"fine-tuning, step {step}: loss {value.item():g}, gradient norm {norm:g}; "
                                  f"try a lower lr than {lr:g}")
        optimizer.step(rate(step))
        after()
        losses.append(value.item())
    return losses
