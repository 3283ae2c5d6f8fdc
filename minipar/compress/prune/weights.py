"""Selects the weights to prune: the weights of the linear layers. These layers do nearly all of the
computation.
"""

from __future__ import annotations

import numpy as np

from minipar.errors import ConfigError
from minipar.nn import LinearLayer, Module


def linear_weights(model: Module) -> dict[str, np.ndarray]:
    """Returns name -> weight matrix, for every linear layer. A matrix is this rank's shard, and not a copy.
    Biases, LayerNorms and embeddings are left out.

    Raises ConfigError if a layer is already quantised, because it has no float weight.
    """
    layers = [module for module in model.modules() if isinstance(module, LinearLayer)]
    if gone := [layer.name for layer in layers if not hasattr(layer, "weight")]:
        raise ConfigError(f"{gone[0]} is quantised already and has no float weight; prune first, "
                          "then quantise", item=gone[0])
    return {layer.weight.name: layer.weight.data for layer in layers}
