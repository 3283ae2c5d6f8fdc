"""The input of a pipeline stage: the tape begins here, and another rank has the part before it."""

from __future__ import annotations

import numpy as np

from minipar.autograd.tape import Hook, Node
from minipar.autograd.tensor import Tensor


def inlet(data: np.ndarray, hook: Hook) -> Tensor:
    """A tensor whose complete gradient is passed to `hook(gradient)` instead of being stored in `grad`.

    It is never deferred, unlike the gradient of a leaf (see Deferred): the rank of the stage before waits
    for it.
    """
    tensor = Tensor(data)
    tensor.node = Node((), lambda g: ())
    tensor.on_grad(hook)
    return tensor
