"""The end of the pipeline: a file without zeros and without wide numbers, which is the model all the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from minipar.checkpoint.archive import load, save
from minipar.compress import prune, quantize
from minipar.compress.pipeline import pack_sparse, unpack_sparse
from minipar.config import ModelConfig
from minipar.errors import CheckpointError, ConfigError
from minipar.nn import GPT, Linear
from tests.refusals import refused

CONFIG = ModelConfig(vocabulary=11, context=6, layers=2, heads=2, width=12)
TOKENS = np.arange(12).reshape(2, 6) % 11


def compressed(ratio: float, scheme: quantize.Scheme) -> GPT:
    model = GPT(CONFIG, seed=3)
    weights = prune.linear_weights(model)
    prune.magnitude_mask(weights, ratio).apply(weights)
    quantize.quantize_weights(model, scheme)
    return model


@pytest.mark.parametrize("ratio", [0.0, 0.63, 1.0])
@pytest.mark.parametrize("scheme", [quantize.Scheme(8, axis=1), quantize.Scheme(3, axis=1),
                                    quantize.Scheme(4, signed=False),
                                    quantize.Scheme(12, axis=1, group=4)], ids=str)
def test_what_is_in_the_file_is_the_model(ratio: float, scheme: quantize.Scheme, tmp_path: Path) -> None:
    model, back = compressed(ratio, scheme), GPT(CONFIG, seed=4)
    save(tmp_path / "model.npz", *pack_sparse(model))
    unpack_sparse(back, *load(tmp_path / "model.npz"))
    np.testing.assert_array_equal(back(TOKENS).data, model(TOKENS).data)
    for one, other in zip(quantize.linear_layers(back), quantize.linear_layers(model), strict=True):
        np.testing.assert_array_equal(quantize.quantized_weight(one).codes,
                                      quantize.quantized_weight(other).codes)


def test_a_weight_takes_one_bit_and_its_code_if_it_stays() -> None:
    """Every matrix of this model has a multiple of 8 weights, so that bits fill whole bytes; no kept weight
    rounds to zero.
    """
    scheme = quantize.Scheme(8, symmetric=True, axis=1)
    model = compressed(0.75, scheme)
    weights = sum(quantize.quantized_weight(layer).codes.size for layer in quantize.linear_layers(model))
    arrays, _ = pack_sparse(model)
    assert arrays["nonzero"].nbytes == weights // 8
    assert arrays["codes"].nbytes == weights // 4
    dense, _ = quantize.pack_model(model)
    assert dense["codes"].nbytes == weights
    for kind in ("scales", "floats", "zeros"):
        np.testing.assert_array_equal(arrays[kind], dense[kind])


def test_models_that_cannot_be_stored_so() -> None:
    with refused(ConfigError, "zero-point", item="blocks.0.attention.qkv"):
        pack_sparse(compressed(0.5, quantize.Scheme(8, symmetric=False, axis=1)))
    with refused(ConfigError, item="blocks.0.attention.qkv"):
        pack_sparse(GPT(CONFIG))
    arrays, meta = pack_sparse(compressed(0.5, quantize.Scheme(8, axis=1)))
    with refused(CheckpointError, "another model"):
        unpack_sparse(Linear("other", 3, 4), arrays, meta)


def test_a_file_with_bits_missing_is_refused() -> None:
    arrays, meta = pack_sparse(compressed(0.5, quantize.Scheme(8, axis=1)))
    for kind, message in (
        ("nonzero", "weights need .* bytes of nonzero bits"),
        ("codes", "codes of 8 bits need"),
    ):
        with pytest.raises(CheckpointError, match=message):
            unpack_sparse(GPT(CONFIG), {**arrays, kind: arrays[kind][:-5]}, meta)
    with refused(CheckpointError, item="nonzero"):
        unpack_sparse(GPT(CONFIG), *quantize.pack_model(compressed(0.5, quantize.Scheme(8, axis=1))))


def test_a_file_of_codes_that_pack_sparse_did_not_write_is_refused() -> None:
    model = Linear("odd", 3, 3)                                     # 9 weights: 7 bits are unused
    quantize.quantize_weights(model, quantize.Scheme(8, axis=1))
    arrays, meta = pack_sparse(model)
    spare = {"nonzero": arrays["nonzero"] | np.array([0, 1], np.uint8)}
    long = {"codes": np.append(arrays["codes"], np.uint8(1))}
    for kind, spoilt in (("nonzero", spare), ("codes", long)):
        with refused(CheckpointError, item=kind):
            unpack_sparse(Linear("odd", 3, 3), {**arrays, **spoilt}, meta)
    meta["quantized"]["odd"]["scheme"]["symmetric"] = False
    with refused(CheckpointError, "zero-point", item="odd"):
        unpack_sparse(Linear("odd", 3, 3), arrays, meta)


def test_a_file_of_version_0_1_is_read() -> None:
    """There the array of bits was called "places"."""
    arrays, meta = pack_sparse(compressed(0.5, quantize.Scheme(8, axis=1)))
    now, before = GPT(CONFIG, seed=1), GPT(CONFIG, seed=2)
    unpack_sparse(now, arrays, meta)
    unpack_sparse(
        before, {("places" if name == "nonzero" else name): array for name, array in arrays.items()}, meta
    )
    known = now.state_dict()
    assert all((known[name] == array).all() for name, array in before.state_dict().items())
