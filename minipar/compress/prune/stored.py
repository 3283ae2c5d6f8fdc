"""Stores a pruned model in memory in the same form as in its file: as bitmaps and non-zero values.

Every product first restores the dense matrix, so all results have the same bits as with the dense model. This
saves memory, but no time. On a CPU, a sparse product is faster than a dense one only if very few values are
not zero.
"""

from __future__ import annotations

from dataclasses import dataclass

from minipar.autograd import Tensor, linear
from minipar.compress.prune.sparse import Bitmap
from minipar.compress.quantize.model import float_weight, linear_layers
from minipar.nn import LinearLayer, Module


@dataclass
class BitmapWeight:
    """Computes the product of a linear layer. The weight (inputs x outputs) is stored as a bitmap."""

    weight: Bitmap

    def __call__(self, x: Tensor, bias: Tensor | None) -> Tensor:
        return linear(x, Tensor(self.weight.dense()), bias)


def store_as_bitmaps(model: Module) -> None:
    """Replace the float weight of each linear layer by a bitmap if this is smaller. The model can then only
    be used for inference.

    Raises ConfigError for a quantised layer.
    """
    weights = {layer: float_weight(layer) for layer in linear_layers(model)}
    for layer, weight in weights.items():
        stored = Bitmap.of(weight.data)
        if stored.nbytes < weight.data.nbytes:
            layer.product = BitmapWeight(stored)
            del layer.weight


def weight_bytes(model: Module) -> int:
    """Returns the bytes of a model's parameters and bitmaps in memory."""
    layers = [module for module in model.modules() if isinstance(module, LinearLayer)]
    stored = sum(layer.product.weight.nbytes for layer in layers if isinstance(layer.product, BitmapWeight))
    return stored + sum(p.data.nbytes for p in model.parameters())
