"""Where did a NaN come from? Run the forward pass again and look at every module's output."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minipar.autograd import Tensor, no_grad
from minipar.nn.module import Module


def first_nonfinite(model: Module, run: Callable[[], object]) -> str | None:
    """The first place where a NaN or an infinity shows when `run()` calls the model, in words; None where there is none.

    Parameters are looked at first: a model whose weights are spoilt cannot compute anything else.
    """
    for p in model.parameters():
        if not np.isfinite(p.data).all():
            return f"the weights {p.name}"
    seen: list[str] = []

    def watched(module: Module) -> Callable[..., object]:
        forward = module.forward

        def call(*args: object, **kwargs: object) -> object:
            out = forward(*args, **kwargs)
            if isinstance(out, Tensor) and not np.isfinite(out.data).all():
                seen.append(module.name)
            return out
        return call

    modules = list(model.modules())
    for module in modules:
        vars(module)["forward"] = watched(module)                   # shadows the method on this one object
    try:
        with no_grad(), np.errstate(all="ignore"):
            run()
    finally:
        for module in modules:
            del vars(module)["forward"]
    return f"the output of {seen[0]}" if seen else None
