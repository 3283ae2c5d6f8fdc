"""Defines the input of a pipeline stage. The tape of this rank begins here; another rank has the previous
stage.
"""

from __future__ import annotations

import numpy as np

from minipar.autograd.tape import Hook, Node
from minipar.autograd.tensor import Tensor


def inlet(data: np.ndarray, hook: Hook) -> Tensor:
    """Returns a tensor whose complete gradient is passed to `hook(gradient)` instead of being stored in
    `grad`.

    The gradient is never deferred, unlike the gradient of a leaf (see Deferred), because the rank of the
    previous stage waits for it.
    """
    tensor = Tensor(data)
    tensor.node = Node((), lambda g: ())
    tensor.on_grad(hook)
    return tensor
