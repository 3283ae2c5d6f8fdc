"""Defines the input of a pipeline stage. Another rank has the previous stage, so the tape of this rank begins
at this input.
"""

from __future__ import annotations

import numpy as np

from minipar.autograd.tape import Hook, Node
from minipar.autograd.tensor import Tensor


def inlet(data: np.ndarray, hook: Hook) -> Tensor:
    """Returns a tensor for `data`. When its gradient is complete, backward calls `hook(gradient)`. Backward
    does not store the gradient in `grad`.

    This gradient is never deferred (see Deferred), because the rank of the previous stage waits for it.
    """
    tensor = Tensor(data)
    tensor.node = Node((), lambda g: ())
    tensor.on_grad(hook)
    return tensor
