"""Stores a model that was pruned, fine-tuned and quantised. The file does not store zeros, and its integers
have few bits.

    arrays, meta = pack_sparse(model)               pruned, then quantised
    save(path, arrays, meta)                        minipar.checkpoint.archive
    ...
    unpack_sparse(GPT(config), *load(path))

Pruning comes first, because it makes zeros. Quantisation comes second, and must map zero to exactly zero.
Symmetric codes do this. In the file, each weight needs 1 bit, which is 1 if the weight is not zero. A
weight that is not zero needs `bits` more bits (course document 000, 3.2.2; Han et al. 2016 "Deep
compression").
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

OLD_NAME = "places"                     # name of the array "nonzero" in files of version 0.1


def pack_sparse(model: Module) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Returns (arrays, meta) of a quantised model, or of a rank's shard. Unlike quantize.pack_model, it
    stores a zero as one bit.

    arrays["nonzero"]: one bit per weight, which is 1 if the weight is not zero. arrays["codes"]: the codes of
    the weights that are not zero. Raises ConfigError if a linear layer is not quantised, or not
    symmetrically.
    """
    arrays, meta = pack_model(model)
    masks, codes = [], []
    for layer in linear_layers(model):
        weight = quantized_weight(layer)
        assert weight is not None, "pack_model has checked it"
        if not weight.scheme.symmetric:
            raise ConfigError(f"{layer.name} is quantised with zero-points; quantise it symmetrically to "
                              "store its zeros as single bits", item=layer.name)
        there = weight.codes != weight.scheme.middle
        masks.append(np.packbits(there))
        codes.append(pack(weight.codes[there], weight.scheme.bits))
    return {**arrays, "nonzero": np.concatenate(masks), "codes": np.concatenate(codes)}, meta


def unpack_sparse(model: Module, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
    """Load the arrays of pack_sparse into a model of the same sizes. Raises CheckpointError in the same cases
    as unpack_model.
    """
    if isinstance(arrays, Mapping) and OLD_NAME in arrays:
        arrays = {("nonzero" if name == OLD_NAME else name): array for name, array in arrays.items()}
    schemes = require_packed(model, arrays, meta, ("nonzero", "codes"))
    sizes = [math.prod(entry["shape"]) for entry in meta["quantized"].values()]
    if (needed := sum(-(-size // 8) for size in sizes)) != arrays["nonzero"].size:
        raise CheckpointError(f"{sum(sizes)} weights need {needed} bytes of nonzero bits; the file has "
                              f"{arrays['nonzero'].size}")
    if uneven := [name for name, scheme in schemes.items() if not scheme.symmetric]:
        raise CheckpointError(f"this is not a file of pack_sparse: {uneven[0]} has a zero-point of its own "
                              "per scale",
                              item=uneven[0])
    whole, position, code = [], 0, 0
    for size, scheme in zip(sizes, schemes.values(), strict=True):
        bits = np.unpackbits(arrays["nonzero"][position : position + -(-size // 8)])
        if bits[size:].any():
            raise CheckpointError("this file is damaged: nonzero has bits set after the last weight",
                                  item="nonzero")
        there = bits[:size].view(bool)
        stays = int(there.sum())
        packed = arrays["codes"][code : code + -(-stays * scheme.bits // 8)]
        codes = np.full(size, scheme.middle, scheme.dtype)
        codes[there] = unpack(packed, scheme.bits, (stays,), scheme.dtype)
        whole.append(pack(codes, scheme.bits))
        position, code = position + -(-size // 8), code + packed.size
    if code != arrays["codes"].size:
        raise CheckpointError(f"the file is of another model: codes are {arrays['codes'].size} bytes, and "
                              f"{code} are needed", item="codes")
    unpack_model(model, {**arrays, "codes": np.concatenate(whole)}, meta)
