"""Compares the names and shapes of a checkpoint with a model, before any weight is changed."""

from minipar.arrays import Shapes
from minipar.errors import CheckpointError

_SHOWN = 3


def differences(wanted: Shapes, found: Shapes) -> list[str]:
    """Return one phrase for each array that is missing, has another shape, or is not in the model, in the
    model's order.
    """
    phrases = []
    for name, shape in wanted.items():
        if name not in found:
            phrases.append(f"{name} is missing")
        elif tuple(found[name]) != tuple(shape):
            phrases.append(f"{name} has shape {tuple(found[name])} where the model has {tuple(shape)}")
    return phrases + [f"{name} is not in the model" for name in found if name not in wanted]


def require_match(wanted: Shapes, found: Shapes, where: object) -> None:
    """Raises CheckpointError with the first differences unless names and shapes are equal.

    `wanted` maps names to shapes in the model, and `found` maps names to shapes in the checkpoint. `where` is
    the checkpoint's path.
    """
    if phrases := differences(wanted, found):
        more = f", and {len(phrases) - _SHOWN} more" if len(phrases) > _SHOWN else ""
        raise CheckpointError(f"{where} is of another model: {'; '.join(phrases[:_SHOWN])}{more}; "
                              f"resume with the sizes it was trained with, or start a new run",
                              item=phrases[0].split()[0])
