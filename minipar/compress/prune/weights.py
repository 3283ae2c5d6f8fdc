"""Which weights of a model are pruned: those of its linear layers, where nearly all of the work is done."""

from __future__ import annotations

import numpy as np

from minipar.nn import ColumnParallelLinear, Linear, Module, RowParallelLinear


def linear_weights(model: Module) -> dict[str, np.ndarray]:
    """Name -> the matrix of every linear layer, this rank's part, not a copy. Biases, LayerNorm and embeddings are left out."""
    layers = (m for m in model.modules() if isinstance(m, (Linear, ColumnParallelLinear, RowParallelLinear)))
    return {layer.weight.name: layer.weight.data for layer in layers}
