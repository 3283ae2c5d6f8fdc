"""Prune, fine-tune, quantise, store: the file at the end of the pipeline holds neither zeros nor wide
numbers.

    arrays, meta = pack_sparse(model)               pruned, then quantised
    save(path, arrays, meta)                        minipar.checkpoint.archive
    ...
    unpack_sparse(GPT(config), *load(path))

The order matters. Zeros are stored as one bit each, so pruning must come first, and quantisation must give
zero back exactly: symmetric codes do. Then each weight costs 1 bit, and `bits` more if it stays (000 3.2.2,
Han et al. 2016 "Deep compression").
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from minipar.compress.quantize import linear_layers, pack, pack_model, quantized_weight, unpack, unpack_model
from minipar.compress.quantize.stored import require_packed
from minipar.errors import CheckpointError, ConfigError
from minipar.nn import Module


def pack_sparse(model: Module) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """(arrays, meta) of a quantised model, or of a rank's share, as quantize.pack_model has them, but zeros
    as one bit each.

    arrays["places"]: a bit per weight; arrays["codes"]: of those weights alone that are not zero. Raises
    ConfigError where a linear layer is not quantised, or not symmetrically.
    """
    arrays, meta = pack_model(model)
    masks, codes = [], []
    for layer in linear_layers(model):
        weight = quantized_weight(layer)
        assert weight is not None, "pack_model would have said so"
        if not weight.scheme.symmetric:
            raise ConfigError(f"{layer.name} has a zero-point of its own per scale; quantise symmetrically "
                              "to store it so", item=layer.name)
        there = weight.codes != weight.scheme.middle
        masks.append(np.packbits(there))
        codes.append(pack(weight.codes[there], weight.scheme.bits))
    return {**arrays, "places": np.concatenate(masks), "codes": np.concatenate(codes)}, meta


def unpack_sparse(model: Module, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
    """Fill a model of the same sizes with what pack_sparse took from one. Raises CheckpointError as
    unpack_model does.
    """
    schemes = require_packed(model, arrays, meta, ("places", "codes"))
    sizes = [math.prod(entry["shape"]) for entry in meta["quantized"].values()]
    if (needed := sum(-(-size // 8) for size in sizes)) != arrays["places"].size:
        raise CheckpointError(f"{sum(sizes)} weights need {needed} bytes of places, here are "
                              f"{arrays['places'].size}")
    whole, position, code = [], 0, 0
    for size, scheme in zip(sizes, schemes.values(), strict=True):
        there = np.unpackbits(arrays["places"][position : position + -(-size // 8)], count=size).view(bool)
        stays = int(there.sum())
        packed = arrays["codes"][code : code + -(-stays * scheme.bits // 8)]
        codes = np.full(size, scheme.middle, scheme.dtype)
        codes[there] = unpack(packed, scheme.bits, (stays,), scheme.dtype)
        whole.append(pack(codes, scheme.bits))
        position, code = position + -(-size // 8), code + packed.size
    unpack_model(model, {**arrays, "codes": np.concatenate(whole)}, meta)
