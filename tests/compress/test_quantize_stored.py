"""Codes in bits, models in files of the size that was said; nonlinear codes."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipar.checkpoint.archive import load, save
from minipar.compress.quantize import (
    Scheme,
    convert,
    pack,
    pack_model,
    quantile_codes,
    quantize,
    quantize_dynamic,
    quantize_in_training,
    quantize_weights,
    sigmoid_codes,
    stored_bytes,
    unpack,
    unpack_model,
)
from minipar.compress.quantize.stored import CHUNK
from minipar.config import ModelConfig
from minipar.errors import CheckpointError, ConfigError, RangeError
from minipar.nn import GPT, Linear
from minipar.rng import stream
from tests.refusals import refused

TINY = ModelConfig(vocabulary=11, context=8, layers=2, heads=2, width=16)
TOKENS = stream(0, "tokens").integers(0, 11, (3, 8))


@given(st.integers(2, 16), st.booleans(), st.integers(0, 50))
@settings(deadline=None)
def test_packed_codes_come_back(bits: int, signed: bool, size: int) -> None:
    scheme = Scheme(bits, symmetric=False, signed=signed)
    codes = stream(0, bits, signed, size).integers(scheme.low, scheme.high, size, scheme.dtype, endpoint=True)
    data = pack(codes, bits)
    assert data.dtype == np.uint8 and data.size == -(-size * bits // 8)
    back = unpack(data, bits, codes.shape, codes.dtype)
    assert back.dtype == codes.dtype and np.array_equal(back, codes)


@pytest.mark.parametrize("bits", [3, 8, 11])
def test_codes_are_packed_piece_by_piece(bits: int) -> None:
    scheme = Scheme(bits)
    codes = stream(0, bits).integers(scheme.low, scheme.high, (3, CHUNK // 2 + 5), scheme.dtype,
                                     endpoint=True)
    assert np.array_equal(unpack(pack(codes, bits), bits, codes.shape, codes.dtype), codes)


def test_three_codes_by_hand() -> None:
    assert pack(np.array([1, -1, -3], np.int8), 3).tolist() == [0b00111110, 0b10000000]
    with refused(CheckpointError, "need 2 bytes", "the file has 1"):
        unpack(np.zeros(1, np.uint8), 3, (3,), np.dtype(np.int8))


@pytest.mark.parametrize("scheme", [Scheme(2, axis=1), Scheme(3, False, axis=1), Scheme(4, axis=1, group=8),
                                    Scheme(5, False), Scheme(8), Scheme(16, axis=1)], ids=str)
def test_a_model_comes_back_from_a_file_of_the_expected_size(scheme: Scheme, tmp_path: Path) -> None:
    model, path = GPT(TINY), tmp_path / "model.npz"
    quantize_weights(model, scheme)
    save(path, *pack_model(model))
    weights = [(16, 48), (16, 16), (16, 64), (64, 16)] * 2          # [I, O] of each layer
    bits = sum(-(-rows * columns * scheme.bits // 8) for rows, columns in weights)
    scales = [columns * (rows // scheme.group if scheme.group else 1) if scheme.axis == 1 else 1
              for rows, columns in weights]
    zeros = 0 if scheme.symmetric else sum(-(-count * scheme.bits // 8) for count in scales)
    floats = 4 * (11 * 16 + 8 * 16 + 5 * 2 * 16 + 2 * (48 + 16 + 64 + 16))
    assert stored_bytes(model) == bits + 4 * sum(scales) + zeros + floats
    assert 0 < os.path.getsize(path) - stored_bytes(model) < 6000
    other = GPT(TINY, seed=1)
    unpack_model(other, *load(path))
    assert np.array_equal(other(TOKENS).data, model(TOKENS).data)


def test_what_training_left_goes_into_a_file_too(tmp_path: Path) -> None:
    model = GPT(TINY)
    quantize_in_training(model, Scheme(4, axis=1))
    before = model(TOKENS).data
    convert(model)
    save(tmp_path / "model.npz", *pack_model(model))
    other = GPT(TINY, seed=1)
    unpack_model(other, *load(tmp_path / "model.npz"))
    assert np.array_equal(other(TOKENS).data, before)


def test_files_of_other_models_and_models_in_floats_are_refused() -> None:
    model = GPT(TINY)
    with refused(ConfigError, "not quantised", item="blocks.0.attention.qkv"):
        pack_model(model)
    quantize_dynamic(model)
    packed = pack_model(model)
    wider = GPT(ModelConfig(vocabulary=11, context=8, layers=2, heads=2, width=16, hidden=32))
    before = wider.state_dict()
    with pytest.raises(CheckpointError, match=r"blocks.0.mlp.down .*\[64, 16\].*\[32, 16\]"):
        unpack_model(wider, *packed)
    with refused(CheckpointError, item="positions.weight"):
        unpack_model(GPT(ModelConfig(vocabulary=11, context=4, layers=2, heads=2, width=16)), *packed)
    assert all(np.array_equal(wider.state_dict()[name], before[name]) for name in before)
    bare = Linear("bare", 10, 5)
    quantize_weights(bare)
    other = Linear("bare", 10, 5)
    unpack_model(other, *pack_model(bare))


@pytest.mark.parametrize("kind", ["codes", "zeros", "scales", "floats"])
def test_files_that_are_too_short_too_long_or_of_something_else_change_nothing(kind: str) -> None:
    model, other = GPT(TINY), GPT(TINY, seed=1)
    quantize_weights(model, Scheme(4, symmetric=False, axis=1))
    arrays, meta = pack_model(model)
    before = other.state_dict()
    for spoilt, message in ((arrays[kind][:-1], f"too short: it has .* {kind}"),
                            (np.repeat(arrays[kind], 2), f"another model: it has .* {kind}")):
        with pytest.raises(CheckpointError, match=message):
            unpack_model(other, {**arrays, kind: spoilt}, meta)
    with refused(CheckpointError, f"no {kind}"):
        unpack_model(other, {name: array for name, array in arrays.items() if name != kind}, meta)
    with refused(CheckpointError, "no quantized", "no parameters"):
        unpack_model(other, arrays, {"model": {}})
    with refused(ConfigError, item="blocks.0.attention.qkv"):
        unpack_model(model, arrays, meta)
    assert other.state_dict().keys() == before.keys()
    assert all(np.array_equal(array, before[name]) for name, array in other.state_dict().items())


def changed(meta: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """The same metadata with another value at this path of keys."""
    first, *rest = path
    return {**meta, first: changed(meta[first], tuple(rest), value) if rest else value}


QKV = "blocks.0.attention.qkv"
SCHEME = ("quantized", QKV, "scheme")


@pytest.mark.parametrize("path, value", [
    (("quantized",), None), (("quantized",), [1]), (("parameters",), 3), (("parameters",), [["x", 1]]),
    (("quantized", QKV), None), (("quantized", "stranger"), {"shape": [2, 2], "scheme": {}}),
    (("quantized", QKV, "shape"), "16"), (("quantized", QKV, "shape"), [16.0, 48.0]),
    (("quantized", QKV, "shape"), [16, -48]), (("quantized", QKV, "shape"), [48, 16]),
    (("quantized", QKV, "shape"), 10**400), (("parameters", "positions.weight"), [8.0, 16.0]),
    (("parameters", "positions.weight"), [8, 16, True]), (SCHEME, None), (SCHEME, []),
    ((*SCHEME, "bits"), 17), ((*SCHEME, "bits"), 4.0), ((*SCHEME, "bits"), True), ((*SCHEME, "bits"), "4"),
    ((*SCHEME, "bits"), 10**400), ((*SCHEME, "axis"), -3), ((*SCHEME, "axis"), 10**400),
    ((*SCHEME, "group"), -4), ((*SCHEME, "group"), 3), ((*SCHEME, "group"), 10**400),
    ((*SCHEME, "signed"), 1), ((*SCHEME, "stranger"), 1),
], ids=repr)
def test_metadata_that_pack_model_did_not_write_is_refused(path: tuple[str, ...], value: Any) -> None:
    model = GPT(TINY)
    quantize_weights(model, Scheme(4, axis=1))
    arrays, meta = pack_model(model)
    with refused(CheckpointError):
        unpack_model(GPT(TINY, seed=1), arrays, changed(meta, path, value))


@pytest.mark.parametrize("kind, spoil", [
    ("scales", lambda scales: -scales), ("scales", lambda scales: 0 * scales),
    ("scales", lambda scales: scales * np.float32(np.nan)), ("scales", lambda scales: scales.astype("f8")),
    ("floats", lambda floats: floats / np.float32(0)), ("floats", lambda floats: floats.reshape(1, -1)),
    ("codes", lambda codes: codes.view(np.int8)), ("codes", lambda codes: np.full_like(codes, 0x88)),
    ("codes", lambda codes: None), ("codes", lambda codes: codes.tolist()),
])
def test_arrays_that_pack_model_did_not_write_are_refused(kind: str, spoil: Callable[[Any], Any]) -> None:
    model, other = GPT(TINY), GPT(TINY, seed=1)
    quantize_weights(model, Scheme(4, axis=1))
    arrays, meta = pack_model(model)
    before = other.state_dict()
    with np.errstate(all="ignore"), refused(CheckpointError, item=kind):
        unpack_model(other, {**arrays, kind: spoil(arrays[kind])}, meta)
    assert all(np.array_equal(array, before[name]) for name, array in other.state_dict().items())


@pytest.mark.parametrize("arrays, meta", [(None, {}), ({}, None), ([1], {}), ({}, "meta")])
def test_what_is_no_file_at_all(arrays: Any, meta: Any) -> None:
    with refused(CheckpointError, "file of a quantised model"):
        unpack_model(GPT(TINY), arrays, meta)


# Nonlinear codes.

WEIGHTS = stream(0, "weights").normal(0, 0.02, 100_000)


def squared_error(x: np.ndarray, back: np.ndarray) -> float:
    return float(((back - x) ** 2).mean())


@pytest.mark.parametrize("bits", [2, 4, 8, 12])
def test_a_sigmoid_code_is_off_by_half_a_step_in_the_sigmoid(bits: int) -> None:
    coded = sigmoid_codes(WEIGHTS, bits, gain=50.0)
    u, back = (1 / (1 + np.exp(-50 * x)) for x in (WEIGHTS, coded.dequantize()))
    step = np.ptp(u) / (2**bits - 1)
    assert 0.49 * step < abs(back - u).max() <= 0.5 * step * (1 + 1e-9)
    assert len(np.unique(coded.codes)) > 0.95 * 2**bits and coded.levels.size == 2**bits


def test_the_gain_is_what_makes_a_sigmoid_good() -> None:
    linear = squared_error(WEIGHTS, quantize(WEIGHTS, Scheme(8, symmetric=False)).dequantize())
    plain, gained = (sigmoid_codes(WEIGHTS, 8, gain, unit=True) for gain in (1.0, None))
    assert len(np.unique(plain.codes)) <= 14 and squared_error(WEIGHTS, plain.dequantize()) > 300 * linear
    assert squared_error(WEIGHTS, gained.dequantize()) < 0.6 * linear


def test_the_document_s_range_decodes_its_ends_to_infinity() -> None:
    x = np.array([-7.0, np.log(509) - 1e-6, np.log(509) + 1e-6])
    back = sigmoid_codes(x, 8, 1.0, unit=True).dequantize()
    assert back[0] == -np.inf and np.isfinite(back[1]) and back[2] == np.inf
    assert np.isfinite(sigmoid_codes(x, 8, 1.0).dequantize()).all()


def test_quantile_codes_are_used_equally_often_and_are_the_nearest() -> None:
    coded = quantile_codes(WEIGHTS, 4)
    counts = np.bincount(coded.codes)
    assert counts.size == 16 and counts[1:-1].max() < 1.4 * counts[1:-1].min()
    nearest = abs(WEIGHTS[:, None] - coded.levels).argmin(1)
    assert np.array_equal(coded.codes, nearest)
    assert coded.nbytes == 50_000 + 16 * 8


@pytest.mark.parametrize("codes", [sigmoid_codes, quantile_codes])
@pytest.mark.parametrize("x", [np.zeros(0), np.zeros((2, 3)), np.full(4, 5.0), np.array(1e-300),
                               np.array([1e300, 1]),
                               np.full(3, 5e-324), np.array([1e-45], np.float32)], ids=str)
def test_nonlinear_codes_of_little_and_of_nothing(codes, x: np.ndarray) -> None:
    back = codes(x, 4).dequantize()
    assert back.shape == x.shape and np.isfinite(back).all()


@pytest.mark.parametrize("codes", [sigmoid_codes, quantile_codes])
def test_nonlinear_codes_refuse_nan_and_other_bits(codes) -> None:
    with refused(RangeError, item="up"):
        codes(np.array([0.0, np.nan]), name="up")
    with refused(ConfigError, item="bits"):
        codes(np.zeros(3), 17)


@pytest.mark.parametrize("gain", [0.0, -1.0, np.nan, np.inf])
def test_a_gain_that_turns_numbers_round_or_makes_them_equal_is_refused(gain: float) -> None:
    with refused(ConfigError, "positive", item="gain"):
        sigmoid_codes(np.arange(3.0), gain=gain)
