"""Which weights of a model are pruned: those of its linear layers, where nearly all of the work is done."""

from __future__ import annotations

import numpy as np

from minipar.errors import ConfigError
from minipar.nn import LinearLayer, Module


def linear_weights(model: Module) -> dict[str, np.ndarray]:
    """Name -> the matrix of every linear layer, this rank's part, not a copy. Biases, LayerNorm and
    embeddings are left out.

    Raises ConfigError where a layer is quantised already: its float weight is gone.
    """
    layers = [module for module in model.modules() if isinstance(module, LinearLayer)]
    if gone := [layer.name for layer in layers if not hasattr(layer, "weight")]:
        raise ConfigError(f"{gone[0]} is quantised already, and has no float weight to prune; prune first, "
                          "then quantise", item=gone[0])
    return {layer.weight.name: layer.weight.data for layer in layers}
