"""Options of the training software, in which programs differ. The planner needs them, beside machine and
layout.
"""

from __future__ import annotations

from dataclasses import dataclass

from minipar.config import TrainConfig
from minipar.errors import ConfigError
from minipar.plan.memory import FLOAT32_ADAM, MIXED_ADAM, SLOTS, PrecisionRecipe
from minipar.plan.parameters import ITEMSIZE


@dataclass(frozen=True)
class Software:
    """flash: attention neither stores nor moves its scores (Dao et al. 2022). causal: it computes only the
    scores that the mask keeps. blocking: a rank waits for its pipeline messages, as Megatron-LM without
    overlap; False: messages travel while it computes. scatter: the ranks of tp divide a pipeline message
    (Narayanan et al. 2021, section 4.1). hidden_tensor: backward's messages along tp travel while the
    gradients of the weights are computed. overlap: the fraction of the gradient's sum over dp, and of ZeRO's
    gathers, that computation hides. deallocate: a stage frees its output after sending it (Korthikanti et al.
    2022, appendix B). gradient_bytes: per gradient element, 0 for those of the number format. offload: the
    optimiser's state and step are on the host (Ren et al. 2021). fragments: of the activations, the fraction
    that the allocator loses between them (Guo et al. 2024, "GMLake", report a tenth to a third).
    """

    flash: bool = False
    causal: bool = False
    blocking: bool = True
    scatter: bool = True
    hidden_tensor: bool = False
    overlap: float = 0.0
    deallocate: bool = True
    gradient_bytes: int = 0
    offload: bool = False
    fragments: float = 0.2

    def __post_init__(self) -> None:
        for name in ("overlap", "fragments"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(
                    f"{name} is {getattr(self, name)}; it must be a fraction from 0 to 1", item=name
                )
        if self.gradient_bytes not in (0, 2, 4, 8):
            raise ConfigError(
                f"gradient_bytes is {self.gradient_bytes}; it must be 2, 4 or 8, or 0 for the "
                "number format's own",
                item="gradient_bytes",
            )


# As published in 2021, in 2022, and later; by the name for --software.
SOFTWARE = {
    "megatron-2021": Software(),
    "megatron-2022": Software(hidden_tensor=True),
    "megatron-flash": Software(flash=True, hidden_tensor=True, overlap=0.5, gradient_bytes=4),
}
# minipar itself: asynchronous messages, whole activations between stages, every output kept.
SOFTWARE["minipar"] = Software(causal=True, blocking=False, scatter=False, deallocate=False, fragments=0.0)
MEGATRON = SOFTWARE["megatron-2021"]


def itemsize_of(train: TrainConfig) -> int:
    """Bytes of an element of activations and messages."""
    return 2 if train.precision != "float32" else ITEMSIZE[train.dtype]


def recipe_of(train: TrainConfig, software: Software = MEGATRON) -> PrecisionRecipe:
    """Bytes per weight of weights, gradients and optimiser. In 16 bits, the optimiser keeps weights and
    moments in 32 bits.

    >>> recipe_of(TrainConfig(precision="bfloat16"))
    PrecisionRecipe(weights=2, gradients=2, optimizer=12)
    """
    itemsize, slots = itemsize_of(train), SLOTS[train.optimizer]
    if itemsize == 2:
        recipe = MIXED_ADAM if slots == 2 else PrecisionRecipe(2, 2, 4 + 4 * slots)
    else:
        recipe = (
            FLOAT32_ADAM
            if (itemsize, slots) == (4, 2)
            else PrecisionRecipe(itemsize, itemsize, itemsize * slots)
        )
    gradients = software.gradient_bytes or recipe.gradients
    return PrecisionRecipe(recipe.weights, gradients, 0 if software.offload else recipe.optimizer)
