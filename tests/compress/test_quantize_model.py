"""A GPT, or one layer alone, with integers in place of its weights: by rounding, by calibration, by
training.
"""

import numpy as np
import pytest

from minipar.autograd import Tensor, backward, linear, no_grad
from minipar.compress.quantize import (
    Scheme,
    convert,
    fake_quantize,
    linear_layers,
    minmax,
    mse,
    percentile,
    quantize,
    quantize_dynamic,
    quantize_in_training,
    quantize_static,
    quantize_weights,
    quantized_weight,
    stored_bytes,
)
from minipar.compress.tune import fine_tune
from minipar.config import ModelConfig
from minipar.data.batches import Batches
from minipar.errors import ConfigError, RangeError
from minipar.nn import GPT, NO_DROPOUT, LayerNorm, Linear
from minipar.optim import AdamW, Flat
from minipar.rng import stream
from tests.refusals import refused

TINY = ModelConfig(vocabulary=11, context=8, layers=2, heads=2, width=16)
TOKENS = stream(0, "tokens").integers(0, 11, (3, 9))
INPUTS, TARGETS = TOKENS[:, :-1], TOKENS[:, 1:]
COLUMNS = Scheme(8, axis=1)


def gpt(dtype: type = np.float64) -> GPT:
    model = GPT(TINY, dtype=dtype)
    for p in model.parameters():
        p.data += stream(0, "larger", p.name).normal(0, 0.2, p.shape).astype(dtype)
    return model


@pytest.mark.parametrize("scheme", [Scheme(16), Scheme(8, False), Scheme(4, axis=1, group=8),
                                    Scheme(3, axis=1)], ids=str)
def test_a_gpt_computes_with_the_weights_that_its_codes_stand_for(scheme: Scheme) -> None:
    model, rounded = gpt(), gpt()
    for layer in linear_layers(rounded):
        layer.weight.data = quantize(layer.weight.data, scheme).dequantize()
    quantize_weights(model, scheme)
    assert np.array_equal(model(INPUTS).data, rounded(INPUTS).data)
    names = {p.name for p in rounded.parameters()} - {p.name for p in model.parameters()}
    assert names == {layer.weight.name for layer in linear_layers(rounded)} and len(names) == 8


def test_more_bits_are_closer_and_smaller_files_are_not() -> None:
    logits = gpt()(INPUTS).data
    errors, sizes = [], []
    for bits in (2, 4, 8, 16):
        model = gpt()
        quantize_weights(model, Scheme(bits, axis=1))
        errors.append(abs(model(INPUTS).data - logits).max())
        sizes.append(stored_bytes(model))
    assert errors == sorted(errors, reverse=True) and errors[3] < 1e-2 * errors[1] and errors[3] < 1e-3
    assert sizes == sorted(sizes) and sizes[3] < stored_bytes(gpt())


def integers_by_hand(layer: Linear, x: np.ndarray, activations: Scheme) -> np.ndarray:
    weight = quantized_weight(layer)
    assert weight is not None and layer.bias is not None
    return quantize(x, activations).dequantize() @ weight.dequantize() + layer.bias.data


@pytest.mark.parametrize("activations", [Scheme(8, False, axis=0), Scheme(8), Scheme(4, False, False)],
                         ids=str)
def test_a_bare_linear_layer_is_quantised_itself(activations: Scheme) -> None:
    """Document 002 (5.1) gets its Linear(10, 5) back as it was, in floats."""
    layer = Linear("bare", 10, 5)
    layer.initialise(dtype=np.float64)
    x = stream(0, "x").normal(size=(7, 10))
    floats = layer(Tensor(x)).data
    quantize_dynamic(layer, activations=activations)
    weight = quantized_weight(layer)
    assert weight is not None and weight.codes.dtype == np.int8 and weight.codes.shape == (10, 5)
    assert stored_bytes(layer) == 50 + 5 * 8 + 5 * 8                # codes, scales, biases
    y = layer(Tensor(x)).data
    np.testing.assert_allclose(y, integers_by_hand(layer, x, activations), rtol=0, atol=1e-13)
    assert 0 < abs(y - floats).max() < 0.05 * abs(floats).max() * (1 + 15 * (activations.bits == 4))


def test_dynamic_is_what_fake_rounding_of_both_computes() -> None:
    model, fake = gpt(), gpt()
    rows = Scheme(8, False, axis=0)
    quantize_dynamic(model, COLUMNS, rows)
    quantize_in_training(fake, COLUMNS, rows)
    np.testing.assert_allclose(model(INPUTS).data, fake(INPUTS).data, rtol=0, atol=1e-9)
    convert(fake)
    assert np.array_equal(model(INPUTS).data, fake(INPUTS).data)


def test_static_rounds_over_the_range_that_calibration_saw() -> None:
    layer = Linear("bare", 10, 5)
    layer.initialise(dtype=np.float64)
    rng = stream(0, "static")
    seen, later = rng.normal(size=(50, 10)), 3 * rng.normal(size=(4, 10))
    whole = Scheme(8, False)
    quantize_static(layer, lambda: [layer(Tensor(seen[:20])), layer(Tensor(seen[20:]))])
    weight = quantized_weight(layer)
    rounded = quantize(later, whole, minmax(seen, whole)).dequantize()
    assert weight is not None and abs(rounded - later).max() > 1    # it clips what it has not seen
    np.testing.assert_allclose(layer(Tensor(later)).data, rounded @ weight.dequantize(), rtol=0, atol=1e-12)


def test_a_gpt_with_calibrated_activations_is_near_the_float_one() -> None:
    logits, model = gpt()(INPUTS).data, gpt()
    quantize_static(model, lambda: model(INPUTS), activation_limits=mse)
    error = abs(model(INPUTS).data - logits).max() / abs(logits).max()
    assert 0 < error < 0.1


@pytest.mark.parametrize("prepared", [False, True])
def test_calibration_that_fails_leaves_the_model_as_it_was(prepared: bool) -> None:
    model = gpt()
    if prepared:
        quantize_in_training(model, Scheme(3))
    before = model(INPUTS).data
    with pytest.raises(ZeroDivisionError):
        quantize_static(model, lambda: 1 / 0)
    with refused(ConfigError, "calibration", item="blocks.1.attention.qkv"):
        quantize_static(model, lambda: model.blocks[0](model.embed(INPUTS, 0, NO_DROPOUT)))
    with pytest.raises(ConfigError, match="without an axis"):
        quantize_static(model, lambda: model(INPUTS), activations=Scheme(axis=0))
    assert np.array_equal(model(INPUTS).data, before) and len(linear_layers(model)) == 8


def test_gradients_in_training_are_those_of_the_rounded_weights() -> None:
    """What reaches a float weight is the gradient at its rounded value, where it was not clipped."""
    scheme = Scheme(3, axis=1)
    model, rounded = gpt(), gpt()
    quantize_in_training(model, scheme, limits=mse)
    clipped = {}
    for layer in linear_layers(rounded):
        w = layer.weight.data
        limits = mse(w, scheme)
        layer.weight.data = quantize(w, scheme, limits).dequantize()
        end = np.maximum(-limits.low, limits.high) * (1 + 0.5 / 3)  # three steps below and above 0
        clipped[layer.weight.name] = abs(w) > end
    backward(model.loss(INPUTS, TARGETS))
    backward(rounded.loss(INPUTS, TARGETS))
    assert 0 < sum(c.sum() for c in clipped.values())
    for p, q in zip(model.parameters(), rounded.parameters(), strict=True):
        expected = np.where(clipped.get(p.name, False), 0, q.grad)
        np.testing.assert_allclose(p.grad, expected, rtol=1e-12, atol=1e-15)


def test_training_goes_on_with_rounded_weights_and_convert_changes_nothing() -> None:
    """On a text that repeats itself, 4 levels per weight spoil a model; trained on, it is as good as
    before.
    """
    text = np.tile(stream(0, "text").integers(0, 11, 40), 30)
    batches = Batches(text, TINY.context, 8, seed=0)
    model = GPT(TINY, dtype=np.float64)

    def tune(lr: float) -> float:
        fine_tune(model.loss, AdamW(Flat(model.parameters()), weight_decay=0.0), batches.get, 150, lr)
        return loss()

    def loss() -> float:
        return model.loss(*batches.get(1000)).item()

    trained = tune(1e-2)
    quantize_in_training(model, Scheme(2, False, axis=1), limits=mse)
    rounded, tuned = loss(), tune(3e-3)
    assert rounded > trained + 0.1 and tuned < trained + 0.3 * (rounded - trained)
    convert(model)
    assert loss() == tuned
    assert all(quantized_weight(layer) for layer in linear_layers(model))


def test_limits_are_kept_while_training_and_found_anew_when_asked() -> None:
    layer, x = Linear("bare", 6, 4), Tensor(np.eye(6))
    layer.initialise(dtype=np.float64)
    before = layer.weight.data.copy()
    quantize_in_training(layer, Scheme(4))
    layer.weight.data *= 2
    largest = abs(before).max()
    assert abs(layer(x).data).max() == pytest.approx(largest)       # clipped
    quantize_in_training(layer, Scheme(4))
    assert abs(layer(x).data).max() == pytest.approx(2 * largest)


def test_weight_only_lets_gradients_through_to_what_is_still_a_float() -> None:
    model = gpt()
    quantize_weights(model)
    backward(model.loss(INPUTS, TARGETS))
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_what_cannot_be_quantised_is_refused_and_nothing_is_half_done() -> None:
    with pytest.raises(ConfigError, match="norm has no linear layer"):
        quantize_weights(LayerNorm("norm", 4))
    model = gpt()
    quantize_weights(model)
    for again in (quantize_weights, quantize_dynamic, quantize_in_training):
        with pytest.raises(ConfigError, match="qkv is quantised already"):
            again(model)
    with pytest.raises(ConfigError, match="qkv was not prepared"):
        convert(gpt())
    for limits in (minmax, mse, percentile):
        for way in (quantize_weights, quantize_in_training):
            spoilt = spoilt_gpt()
            with refused(RangeError, item="blocks.1.mlp.up.weight"):
                way(spoilt, limits=limits)
            assert all(layer.product is None and hasattr(layer, "weight") for layer in linear_layers(spoilt))
    layer = Linear("bare", 6, 4)
    quantize_dynamic(layer)
    with refused(RangeError, item="the input of bare"), no_grad():
        layer(Tensor(np.full((1, 6), np.inf, np.float32)))


def spoilt_gpt() -> GPT:
    model = gpt()
    model.blocks[1].mlp.up.weight.data[3, 2] = np.nan
    return model


def test_one_layer_by_hand_in_training() -> None:
    layer, x = Linear("bare", 6, 4), Tensor(stream(0, "x").normal(size=(5, 6)))
    layer.initialise(dtype=np.float64)
    scheme = Scheme(4, axis=1, group=3)
    quantize_in_training(layer, scheme)
    expected = linear(x, fake_quantize(layer.weight, scheme), layer.bias)
    assert np.array_equal(layer(x).data, expected.data)
