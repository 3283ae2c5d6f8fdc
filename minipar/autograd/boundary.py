"""Where a tape begins that another rank has the earlier half of: a pipeline stage's input."""

from __future__ import annotations

import numpy as np

from minipar.autograd.tensor import Hook, Node, Tensor


def inlet(data: np.ndarray, hook: Hook) -> Tensor:
    """A tensor whose gradient, once backward has it whole, goes to `hook(gradient)` instead of into `grad`.

    Unlike a leaf's, it is never put off (see Deferred): the rank before waits for it.
    """
    tensor = Tensor(data)
    tensor.node = Node((), lambda g: ())
    tensor.on_grad(hook)
    return tensor
