"""Finds the module in which a NaN arose. The code runs the forward pass again, and checks the output of every
module.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from minipar.autograd import Tensor, no_grad
from minipar.nn.gpt import GPT
from minipar.nn.module import Module
from minipar.nn.parameter import Parameter

METHODS = ("forward", "logits")                                     # methods of modules that return a Tensor


class NonfiniteSite(NamedTuple):
    """The location of a NaN or an infinity. The smaller of two sites is the earlier one, even if the sites
    are on two ranks of one model.

    stage: the stage of the pipeline. number: the number of the call in this stage. It is negative for
    weights, which come before all calls. words: a text for an error message.
    """

    stage: int
    number: int
    words: str


def is_finite(p: Parameter) -> bool:
    return bool(np.isfinite(p.data).all())


def first_nonfinite(models: Mapping[int, GPT], run: Callable[[], object],
                    finite: Callable[[Parameter], bool] = is_finite) -> NonfiniteSite | None:
    """Returns the first site of a NaN or an infinity while `run()` runs the models. Returns None if all
    values are finite.

    models: stage -> model. finite: returns True if the values of a parameter are finite. Weights are checked
    first, because a NaN in the weights makes all outputs NaN. Even if a weight is not finite, this rank calls
    `run`, because all ranks must call it together.
    """
    found = [NonfiniteSite(stage, number - len(model.parameters()), f"the weights {p.name}")
             for stage, model in models.items()
             for number, p in enumerate(model.parameters()) if not finite(p)]
    calls: Counter[int] = Counter()

    def watched(stage: int, module: Module, method: str) -> Callable[..., object]:
        original = getattr(module, method)

        def call(*args: object, **kwargs: object) -> object:
            out = original(*args, **kwargs)
            calls[stage] += 1
            if isinstance(out, Tensor) and not np.isfinite(out.data).all():
                found.append(NonfiniteSite(stage, calls[stage], f"the output of {module.name}"))
            return out
        return call

    stages = _watched_stages(models)
    for (module, method), stage in stages.items():
        vars(module)[method] = watched(stage, module, method)       # replaces the method of this object only
    try:
        with no_grad(), np.errstate(all="ignore"):
            run()
    finally:
        for module, method in stages:
            del vars(module)[method]
    return min(found, default=None)


def _watched_stages(models: Mapping[int, GPT]) -> dict[tuple[Module, str], int]:
    """Returns a dict: (module, method) -> stage. If two stages share a token table, its look-up belongs to
    the first stage, and its logits belong to the last stage.
    """
    stages: dict[tuple[Module, str], int] = {}
    for stage, model in models.items():
        for module in model.modules():
            for method in METHODS if model.part.last else ("forward",):
                if hasattr(module, method):
                    stages.setdefault((module, method), stage)
    return stages
