"""Stores quantised models in files: packed codes, scales, and metadata for restoring them.

    arrays, meta = pack_model(model)
    save(path, arrays, meta)                        from minipar.checkpoint.archive
    ...
    unpack_model(GPT(config), *load(path))          replaces the weights by integers

All codes are in one array, and all scales are in another array. So a file has `stored_bytes` bytes, and a
few kilobytes more for names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from minipar.arrays import no_array
from minipar.compress.quantize.affine import Quantized
from minipar.compress.quantize.grid import QuantizationGrid
from minipar.compress.quantize.model import (
    float_weight,
    linear_layers,
    quantized_weight,
    set_quantized_weight,
)
from minipar.compress.quantize.scheme import Scheme
from minipar.errors import CheckpointError, ConfigError, ShapeError, shown
from minipar.nn import Module
from minipar.records import record_from

KINDS = ("codes", "zeros", "scales", "floats")                      # the arrays of a file
DTYPES = {"codes": "uint8", "zeros": "uint8", "scales": "float32", "floats": "float32", "nonzero": "uint8"}
ENTRIES = ("quantized", "parameters")                               # the entries of meta
CHUNK = 1 << 18  # number of codes per piece; a multiple of 8 gives whole bytes


def pack(codes: np.ndarray, bits: int) -> np.ndarray:
    """Packs codes into bytes: uint8 [ceil(size * bits / 8)]. The high bits of a code come first. codes: any
    shape, signed or unsigned. bits: the number of bits per code, 1 to 16.
    """
    flat = codes.reshape(-1)
    if bits == 8:
        return np.array(flat.view(np.uint8))
    parts = []
    for start in range(0, flat.size, CHUNK):
        # each code as 16 bits in two's complement
        pairs = flat[start : start + CHUNK].astype(">u2").view(np.uint8).reshape(-1, 2)
        parts.append(np.packbits(np.unpackbits(pairs, axis=1)[:, 16 - bits :]))
    return np.concatenate([*parts, np.empty(0, np.uint8)])


def unpack(data: np.ndarray, bits: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Restores the codes that `pack` has packed, with this shape and dtype. Raises CheckpointError if the
    number of bytes is wrong.
    """
    size = math.prod(shape)
    if data.size != -(-size * bits // 8):
        raise CheckpointError(f"{size} codes of {bits} bits need {-(-size * bits // 8)} bytes; the file has "
                              f"{data.size}")
    if bits == 8:
        return np.array(data.view(dtype).reshape(shape))
    codes = np.empty(size, dtype)
    for start in range(0, size, CHUNK):
        out = codes[start : start + CHUNK]
        row = np.unpackbits(data[start * bits // 8 :], count=out.size * bits).reshape(-1, bits)
        pairs = np.zeros((out.size, 16), np.uint8)
        pairs[:, 16 - bits :] = row
        if dtype.kind == "i":
            pairs[:, : 16 - bits] = row[:, :1]                      # fill with the sign bit
        out[...] = np.packbits(pairs, axis=1).view(">i2" if dtype.kind == "i" else ">u2")[:, 0]
    return codes.reshape(shape)


def pack_model(model: Module) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Returns (arrays, meta) of a quantised model, or of a rank's shard of it.

    arrays: "codes" and "zeros" (packed bytes), "scales", and "floats" (all other parameters). Each array is
    in the order of meta. The kind of product is not stored. So a restored model always computes like a model
    after `quantize_weights`. Raises ConfigError if a linear layer is not quantised.
    """
    weights: dict[str, Quantized] = {}
    for layer in linear_layers(model):
        weight = quantized_weight(layer)
        if weight is None:
            raise ConfigError(f"{layer.name} is not quantised; quantise the model before packing it",
                              item=layer.name)
        weights[layer.name] = weight
    zeros = [pack(w.grid.zero.astype(w.scheme.dtype), w.scheme.bits) for w in weights.values()
             if not w.scheme.symmetric]
    parameters = model.parameters()
    arrays = {"codes": _joined([pack(w.codes, w.scheme.bits) for w in weights.values()], np.uint8),
              "zeros": _joined(zeros, np.uint8),
              "scales": _joined([w.grid.scale.reshape(-1) for w in weights.values()], np.float32),
              "floats": _joined([p.data.reshape(-1) for p in parameters], np.float32)}
    meta = {"quantized": {name: {"shape": list(w.shape), "scheme": asdict(w.scheme)}
                          for name, w in weights.items()},
            "parameters": {p.name: list(p.shape) for p in parameters}}
    return arrays, meta


def unpack_model(model: Module, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
    """Load the arrays of pack_model (integers and float parameters) into a model of the same sizes.

    Raises CheckpointError, and changes nothing, if arrays and meta do not come from pack_model, or if names
    or shapes differ. Raises ConfigError if the model is already quantised.
    """
    schemes = require_packed(model, arrays, meta, KINDS)
    layers = {layer.name: layer for layer in linear_layers(model)}
    own = [float_weight(layer) for layer in layers.values()]
    parameters = {p.name: p for p in model.parameters() if p not in own}
    readers = {kind: _Reader(kind, arrays[kind]) for kind in KINDS}
    weights = {name: _read_weight(tuple(meta["quantized"][name]["shape"]), scheme, readers)
               for name, scheme in schemes.items()}
    floats = {name: readers["floats"].take(math.prod(shape)).reshape(shape)
              for name, shape in meta["parameters"].items()}
    for reader in readers.values():
        reader.require_end()
    for name, weight in weights.items():
        set_quantized_weight(layers[name], weight)
    for name, array in floats.items():
        parameters[name].data[...] = array


def require_packed(model: Module, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any],
                   kinds: Sequence[str]) -> dict[str, Scheme]:
    """Check that arrays and meta fit the model, before memory is allocated. Returns layer name -> scheme.

    kinds: names of arrays, which are keys of DTYPES. Raises CheckpointError if an array or an entry of meta
    is missing or has another type, if names or shapes differ, if a scale is not above 0, or if a scale or a
    float is not finite. Raises ConfigError if the model is already quantised.
    """
    if not isinstance(arrays, Mapping) or not isinstance(meta, Mapping):
        raise CheckpointError("this is not a file of a quantised model: arrays and meta must be "
                              "dictionaries, as `load` returns them")
    if lacking := [kind for kind in kinds if kind not in arrays] + [entry for entry in ENTRIES
                                                                    if entry not in meta]:
        raise CheckpointError(f"this is not a file of a quantised model: it has no "
                              f"{' and no '.join(lacking)}", item=lacking[0])
    for kind in kinds:
        if text := no_array(arrays[kind]):
            raise CheckpointError(f"{kind} is {text}", item=kind)
        if arrays[kind].ndim != 1 or arrays[kind].dtype != DTYPES[kind]:
            raise CheckpointError(f"{kind} are {arrays[kind].dtype} of shape {arrays[kind].shape}, not "
                                  f"one-dimensional {DTYPES[kind]}", item=kind)
        if not np.isfinite(arrays[kind]).all():
            raise CheckpointError(f"this file is damaged: its {kind} hold NaN or infinity", item=kind)
        if kind == "scales" and not (arrays[kind] > 0).all():
            raise CheckpointError("this file is damaged: its scales hold a number that is not above 0",
                                  item=kind)
    own = {layer.name: float_weight(layer) for layer in linear_layers(model)}
    try:
        stored = {name: entry["shape"] for name, entry in meta["quantized"].items()}
        schemes = {name: record_from(Scheme, meta["quantized"][name]["scheme"], f"scheme of {shown(name)}")
                   for name in stored}
        _require_same({name: list(weight.shape) for name, weight in own.items()}, stored)
        _require_same({p.name: list(p.shape) for p in model.parameters() if p not in own.values()},
                      meta["parameters"])
        for name, scheme in schemes.items():
            scheme.scales(tuple(stored[name]))
    except (AttributeError, KeyError, TypeError) as error:
        raise CheckpointError("this is not a file of a quantised model: its meta is not that of "
                              "pack_model") from error
    except (ConfigError, ShapeError) as error:
        raise CheckpointError(f"this is not a file of a quantised model: {error}") from error
    return schemes


def _read_weight(shape: tuple[int, ...], scheme: Scheme, readers: Mapping[str, _Reader]) -> Quantized:
    grid_shape = scheme.scales(shape)
    count = math.prod(grid_shape)
    scale = readers["scales"].take(count).reshape(grid_shape)
    if scheme.symmetric:
        zero = np.full_like(scale, scheme.middle)
    else:
        packed = readers["zeros"].take(-(-count * scheme.bits // 8))
        zero = unpack(packed, scheme.bits, grid_shape, scheme.dtype).astype(scale.dtype)
    packed = readers["codes"].take(-(-math.prod(shape) * scheme.bits // 8))
    codes = unpack(packed, scheme.bits, shape, scheme.dtype)
    if codes.min(initial=scheme.middle) < scheme.low:               # a symmetric scheme does not use one code
        raise CheckpointError(f"this file is damaged: a code is below {scheme.low}, the lowest of its "
                              "scheme", item="codes")
    return Quantized(codes, QuantizationGrid(scale, zero), scheme)


class _Reader:
    """Reads an array piece by piece, from its beginning to its end."""

    def __init__(self, kind: str, array: np.ndarray):
        self.kind, self.array, self.at = kind, array, 0

    def take(self, count: int) -> np.ndarray:
        self.at += count
        if self.at > self.array.size:
            raise CheckpointError(f"the file is too short: it has {self.array.size} {self.kind}; "
                                  f"at least {self.at} are needed")
        return self.array[self.at - count : self.at]

    def require_end(self) -> None:
        if self.at < self.array.size:
            raise CheckpointError(f"the file is of another model: it has {self.array.size} {self.kind}; "
                                  f"{self.at} are needed")


def _joined(parts: list[np.ndarray], empty: type) -> np.ndarray:
    return np.concatenate(parts) if parts else np.empty(0, empty)


def _require_same(own: Mapping[str, list[int]], stored: Mapping[str, list[int]]) -> None:
    # repr is compared, because 16.0 == 16 and True == 1, but 16.0 and True are not lengths
    if wrong := sorted(name for name in own.keys() | stored.keys()
                       if repr(own.get(name)) != repr(stored.get(name))):
        raise CheckpointError(f"this file is of another model: {wrong[0]} has shape {stored.get(wrong[0])} "
                              f"there, {own.get(wrong[0])} here ({len(wrong)} differ)",
                              item=wrong[0])
