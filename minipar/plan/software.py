"""Describes the training software. Programs differ in these options, so the planner needs them in addition to
the machine and the layout.
"""

# dp, tp: the axes of data and tensor parallelism

from __future__ import annotations

from dataclasses import dataclass

from minipar.config import TrainConfig
from minipar.errors import ConfigError
from minipar.plan.memory import FLOAT32_ADAM, MIXED_ADAM, SLOTS, PrecisionRecipe
from minipar.plan.parameters import ITEMSIZE


@dataclass(frozen=True)
class Software:
    """Holds the options of a training program.

    flash           attention does not write its scores to memory (Dao et al. 2022)
    causal          attention computes only the scores that the mask keeps
    blocking        a rank waits for its pipeline messages, as in Megatron-LM without overlap. If False, it
                    computes while messages are in flight
    scatter         each rank of tp sends a part of a pipeline message (Narayanan et al. 2021, section 4.1)
    hidden_tensor   in backward, a rank computes the gradients of the weights while messages along tp are in
                    flight
    overlap         the messages along dp sum the gradients, and gather the weights with ZeRO. This option is
                    the fraction of their time during which the rank also computes
    deallocate      a stage frees its output after sending it (Korthikanti et al. 2022, appendix B)
    gradient_bytes  bytes per gradient element; 0 selects the size of the number format
    copies          the cores that compute also copy and add the data of collectives, and add the gradients of
                    micro-batches (MPI on CPUs). If False, this work costs no extra time: it is part of the
                    messages and the matrix products (NCCL)
    offload         the host holds the optimiser's state and runs its step (Ren et al. 2021)
    fragments       memory lost to fragmentation, as a fraction of the activations. Guo et al. 2024 ("GMLake")
                    report a tenth to a third
    """

    flash: bool = False
    causal: bool = False
    blocking: bool = True
    scatter: bool = True
    hidden_tensor: bool = False
    overlap: float = 0.0
    deallocate: bool = True
    gradient_bytes: int = 0
    copies: bool = False
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
                f"gradient_bytes is {self.gradient_bytes}; it must be 2, 4 or 8, or 0 for "
                "the size of the number format",
                item="gradient_bytes",
            )


# Name for --software -> options. Megatron-LM has three entries: its options in 2021, in 2022, and later.
SOFTWARE = {
    "megatron-2021": Software(),
    "megatron-2022": Software(hidden_tensor=True),
    "megatron-flash": Software(flash=True, hidden_tensor=True, overlap=0.5, gradient_bytes=4),
}
# minipar sends asynchronous messages and whole activations. The cores that compute also copy and add. Each
# stage keeps its outputs.
SOFTWARE["minipar"] = Software(
    causal=True, blocking=False, scatter=False, deallocate=False, copies=True, fragments=0.0
)
MEGATRON = SOFTWARE["megatron-2021"]


def itemsize_of(train: TrainConfig) -> int:
    """Returns the bytes of an element of activations and messages."""
    return 2 if train.precision != "float32" else ITEMSIZE[train.dtype]


def recipe_of(train: TrainConfig, software: Software = MEGATRON) -> PrecisionRecipe:
    """Returns the memory for one parameter in bytes: for its weight, its gradient and its optimiser state.
    In training with 16-bit numbers, the optimiser keeps weights and moments in 32 bits.

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
