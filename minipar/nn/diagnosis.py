"""Where did a NaN come from? Run the forward pass again and look at every module's output."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from minipar.autograd import Tensor, no_grad
from minipar.nn.module import Module

METHODS = ("forward", "logits")                                     # of modules, that return a Tensor


def first_nonfinite(model: Module, run: Callable[[], object], methods: Sequence[str] = METHODS) -> str | None:
    """The first place where a NaN or an infinity shows when `run()` calls the model, in words; None where there is none.

    Weights count before outputs: a model whose weights are spoilt cannot compute anything else. `run` is called in any case,
    since on other ranks it may be the outputs that are spoilt, and all of them must call it. methods: whose outputs to look at.
    """
    weights = next((p.name for p in model.parameters() if not np.isfinite(p.data).all()), None)
    seen: list[str] = []

    def watched(module: Module, method: str) -> Callable[..., object]:
        original = getattr(module, method)

        def call(*args: object, **kwargs: object) -> object:
            out = original(*args, **kwargs)
            if isinstance(out, Tensor) and not np.isfinite(out.data).all():
                seen.append(module.name)
            return out
        return call

    places = [(module, method) for module in dict.fromkeys(model.modules()) for method in methods if hasattr(module, method)]
    for module, method in places:
        vars(module)[method] = watched(module, method)              # shadows the method on this one object
    try:
        with no_grad(), np.errstate(all="ignore"):
            run()
    finally:
        for module, method in places:
            del vars(module)[method]
    if weights:
        return f"the weights {weights}"
    return f"the output of {seen[0]}" if seen else None
