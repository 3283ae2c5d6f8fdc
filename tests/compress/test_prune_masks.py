"""Which weights go: against the definition by sorting, for ties, odd shapes and bad numbers; and that they
stay gone.
"""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from minipar.autograd import backward
from minipar.compress.prune import (
    MagnitudePruner,
    Mask,
    Masked,
    cubic_sparsity,
    drop_lowest,
    linear_weights,
    magnitude_mask,
    plain_drop_lowest,
    ratio_threshold,
    threshold_mask,
)
from minipar.compress.quantize import quantize_weights
from minipar.config import ModelConfig
from minipar.errors import ConfigError, RangeError, ShapeError
from minipar.nn import GPT
from minipar.optim import OPTIMIZERS, Flat
from minipar.rng import stream
from tests.refusals import refused
from tests.tiny import trainer

PAGE = np.array([[1.0, 0.5, 0.2], [0.8, 0.3, 0.1], [0.6, 0.4, 0.0]])           # document 004, 4.1


def numbers(dtype: type) -> st.SearchStrategy:
    """Arrays full of ties, of any small shape, empty ones too."""
    few = st.sampled_from([-2.0, -0.5, -0.0, 0.0, 0.25, 0.5, 1.0, 3.0])
    return arrays(dtype, st.tuples(st.integers(0, 4), st.integers(0, 4)), elements=few)


def same(one: Mask, other: Mask) -> bool:
    return one.keep.keys() == other.keep.keys() and all(np.array_equal(one.keep[name], other.keep[name])
                                                        for name in one.keep)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@given(data=st.data(), ratio=st.floats(0, 1))
def test_the_lowest_go_and_of_equal_ones_the_first(dtype: type, data: st.DataObject, ratio: float) -> None:
    scores = data.draw(st.dictionaries(st.sampled_from("abc"), numbers(dtype)))
    assert same(drop_lowest(scores, ratio), plain_drop_lowest(scores, ratio))
    alone = {name: plain_drop_lowest({name: s}, ratio).keep[name] for name, s in scores.items()}
    assert same(drop_lowest(scores, ratio, per_layer=True), Mask(alone))


@given(st.integers(1, 3000), st.floats(0, 1))
def test_distinct_numbers_of_every_size_are_ranked(count: int, ratio: float) -> None:
    values = stream(0, "ranked",
                    count).normal(size=count) * 10.0 ** stream(1, "ranked", count).integers(-300, 300, count)
    assert same(drop_lowest({"w": values}, ratio), plain_drop_lowest({"w": values}, ratio))


@pytest.mark.parametrize("n", [9, 10, 100, 1000])
def test_exactly_the_ratio_goes(n: int) -> None:
    for percent in range(101):
        assert magnitude_mask({"w": np.ones(n)}, percent / 100).dropped == percent * n // 100


def test_a_constant_array_loses_its_first_weights() -> None:
    assert magnitude_mask({"w": np.full(4, -0.5)}, 0.5).keep["w"].tolist() == [False, False, True, True]


def test_nothing_to_prune() -> None:
    assert magnitude_mask({}, 0.5).sparsity == 0 and magnitude_mask({"w": np.zeros((0, 3))}, 0.5).size == 0


def test_threshold_and_ratio_are_one_rule() -> None:
    assert np.array_equal(PAGE * threshold_mask({"w": PAGE}, 0.3).keep["w"],
                          [[1, 0.5, 0], [0.8, 0.3, 0], [0.6, 0.4, 0]])
    for ratio in (0, 0.2, 0.5, 0.8):
        tau = ratio_threshold({"w": PAGE}, ratio)
        assert same(threshold_mask({"w": PAGE}, tau), magnitude_mask({"w": PAGE}, ratio))
    assert ratio_threshold({"w": PAGE}, 0.5) == 0.4 and ratio_threshold({"w": PAGE}, 0.8) == 0.8
    assert ratio_threshold({"w": PAGE}, 1.0) == np.inf
    assert ratio_threshold({"w": PAGE.astype(np.float32)}, 0.5) == np.float32(0.4)
    assert ratio_threshold({"w": -PAGE}, 0.5) == 0.4


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("prune", [lambda w: magnitude_mask(w, 0.5), lambda w: threshold_mask(w, 0.5),
                                   lambda w: ratio_threshold(w, 0.5),
                                   lambda w: magnitude_mask(w, 0.5, per_layer=True)])
def test_what_is_not_finite_is_refused_by_name(prune, bad: float) -> None:
    with refused(RangeError, "NaN", item="layer.2"):
        prune({"layer.1": np.ones(3), "layer.2": np.array([1, bad])})


@pytest.mark.parametrize("ratio", [-0.1, 1.1, np.nan])
def test_a_ratio_lies_between_0_and_1(ratio: float) -> None:
    with refused(ConfigError, item="ratio"):
        magnitude_mask({"w": PAGE}, ratio)
    with refused(ConfigError, item="ratio"):
        ratio_threshold({"w": PAGE}, ratio)


@pytest.mark.parametrize("threshold", [-0.1, np.nan])
def test_a_threshold_is_no_negative_number(threshold: float) -> None:
    with refused(ConfigError, item="threshold"):
        threshold_mask({"w": PAGE}, threshold)


def test_a_mask_is_applied_in_place_and_to_what_it_names() -> None:
    mask = Mask({"w": np.array([True, False])})
    weights = {"w": np.array([1.0, np.nan]), "b": np.array([3.0])}
    mask.apply(weights)
    assert weights["w"].tolist() == [1, 0] and weights["b"].tolist() == [3]
    with refused(ShapeError, "not among v", item="w"):
        mask.apply({"v": np.zeros(2)})
    with refused(ShapeError, "(2,)", "(3,)", item="w"):
        mask.apply({"w": np.zeros(3)})


def test_masks_combine() -> None:
    one, other = Mask({"a": np.array([True, False]),
                       "b": np.array([True])}), Mask({"a": np.array([True, True]),
                                                                                    "c": np.array([False])})
    both = one & other
    assert {name: keep.tolist()
            for name, keep in both.keep.items()} == {"a": [True, False], "b": [True], "c": [False]}
    assert (both.size, both.dropped, both.sparsity) == (4, 2, 0.5)


# Masks in training

def tiny(optimizer: str, **options: float) -> tuple[GPT, Flat, Any]:
    model = GPT(ModelConfig(vocabulary=11, context=8, layers=2, heads=2, width=8))
    flat = Flat(model.parameters())
    return model, flat, OPTIMIZERS[optimizer](flat, **options)


def train(model: GPT, flat: Flat, optimizer, steps: int, lr: float = 0.01) -> None:
    for _ in range(steps):
        tokens = stream(0, "tokens", optimizer.steps).integers(0, 11, (3, 9))
        flat.zero_grad()
        backward(model.loss(tokens[:, :-1], tokens[:, 1:]))
        optimizer.step(lr)


def zeros(model: GPT) -> int:
    return sum(int((w == 0).sum()) for w in linear_weights(model).values())


CASES = [("sgd", {}), ("sgd", {"momentum": 0.9, "weight_decay": 0.1}), ("adagrad", {"weight_decay": 0.1}),
         ("adam", {"weight_decay": 0.1}), ("adamw", {"weight_decay": 0.1})]


@pytest.mark.parametrize("name, options", CASES)
def test_no_optimiser_brings_a_dropped_weight_back(name: str, options: dict) -> None:
    model, flat, optimizer = tiny(name, **options)
    train(model, flat, optimizer, 5)  # so that momentum remembers the weights that go
    mask = magnitude_mask(linear_weights(model), 0.8)
    masked = Masked(optimizer, mask)
    train(model, flat, masked, 20)
    assert zeros(model) == mask.dropped == int(0.8 * mask.size) and masked.steps == 25
    assert all((w[mask.keep[n]] != 0).all()
               for n, w in linear_weights(model).items()), "the others were trained"


@pytest.mark.parametrize("name, options", CASES)
def test_without_the_mask_it_does(name: str, options: dict) -> None:
    model, flat, optimizer = tiny(name, **options)
    train(model, flat, optimizer, 5)
    mask = magnitude_mask(linear_weights(model), 0.8)
    mask.apply(linear_weights(model))
    assert zeros(model) == mask.dropped
    train(model, flat, optimizer, 1)
    assert zeros(model) < mask.dropped / 2


def test_momentum_alone_would_bring_it_back() -> None:
    """Masking the gradient is not enough: what momentum holds when the mask comes moves the weight on."""
    model, flat, optimizer = tiny("adamw")
    train(model, flat, optimizer, 5)
    masked = Masked(optimizer, magnitude_mask(linear_weights(model), 0.8))
    flat.by_name(optimizer.state["gradients"])["blocks.0.mlp.up.weight"][...] = 1.0
    train(model, flat, masked, 1)
    assert zeros(model) < masked.mask.dropped


def test_kept_weights_are_trained_as_if_the_others_were_not_there() -> None:
    one, flat, optimizer = tiny("adamw")
    mask = magnitude_mask(linear_weights(one), 0.5)
    train(one, flat, Masked(optimizer, mask), 3)
    other, flat, optimizer = tiny("adamw")
    for _ in range(3):                                              # the plain way: zero after every step
        mask.apply(linear_weights(other))
        train(other, flat, optimizer, 1)
    mask.apply(linear_weights(other))
    assert all(np.array_equal(w, other.state_dict()[name]) for name, w in one.state_dict().items())


def test_a_trainer_takes_a_masked_optimiser() -> None:
    def masked(flat: Flat) -> Masked:
        return Masked(OPTIMIZERS["adamw"](flat, weight_decay=0.1), Mask({}))

    training, again = trainer({"optimizer": masked}), trainer({"optimizer": masked})
    training.step()
    weights = {p.name: p.data for p in training.flat.parameters if p.name.startswith("blocks")
               and p.ndim == 2}
    mask = magnitude_mask(weights, 0.5)
    for one in (training, again):
        assert isinstance(one.optimizer, Masked)
        one.optimizer.use(mask)
    for _ in range(3):
        training.step()
    arrays, meta = training.state()
    assert sum(int((w == 0).sum()) for w in weights.values()) == mask.dropped and meta["optimizer_steps"] == 4
    again.restore(arrays, meta, "a checkpoint")
    assert again.step().loss == training.step().loss and again.optimizer.steps == 5


# Schedules

@given(st.integers(1, 1000), st.integers(-50, 50), st.floats(0, 1), st.floats(0, 1))
def test_the_cubic_schedule_rises_from_initial_to_final(steps: int, begin: int, one: float,
                                                        other: float) -> None:
    initial, final = sorted((one, other))
    path = [cubic_sparsity(step, final=final, steps=steps, begin=begin, initial=initial)
            for step in range(begin - 2, begin + steps + 3)]
    assert path[0] == path[2] == pytest.approx(initial) and path[-1] == path[-3] == final
    assert all(a <= b + 1e-15 for a, b in zip(path, path[1:], strict=False))


def test_the_cubic_schedule_does_seven_eighths_of_the_work_in_the_first_half() -> None:
    assert cubic_sparsity(50, final=0.8, steps=100) == pytest.approx(0.8 * 7 / 8)
    assert cubic_sparsity(60, final=0.9, steps=100, begin=10, initial=0.1) == pytest.approx(0.1 + 0.8 * 7 / 8)


@pytest.mark.parametrize("wrong", [dict(final=0.5, initial=0.6, steps=5), dict(final=1.1, steps=5),
                                   dict(final=0.5, steps=0)])
def test_a_schedule_that_does_not_rise_is_refused(wrong: dict) -> None:
    with pytest.raises(ConfigError, match="cubic_sparsity needs"):
        cubic_sparsity(0, **wrong)


def test_the_pruner_follows_its_schedule() -> None:
    model, flat, optimizer = tiny("adamw")
    masked = Masked(optimizer, Mask({}))
    names = list(linear_weights(model))
    pruner = MagnitudePruner(masked, names, lambda step: cubic_sparsity(step, final=0.9, steps=10), every=2)
    trace, masks = [], []
    for step in range(1, 13):
        train(model, flat, masked, 1)
        pruner.step()
        size = sum(w.size for w in linear_weights(model).values())
        assert (
            zeros(model)
            == pruner.mask.dropped
            == int(round(cubic_sparsity(step // 2 * 2, final=0.9, steps=10) * size, 6))
        )
        trace.append(pruner.mask.sparsity)
        masks.append(pruner.mask)
    assert trace[0] == 0 and trace[1] == trace[2] > 0 and trace[-1] == pytest.approx(0.9, abs=1e-3)
    assert all(same(masks[i] & masks[i - 1], masks[i]) for i in range(2, 12)), "what is gone stays gone"
    assert pruner.stripped().keys() == set(names)


def test_a_pruner_whose_step_is_left_out_says_so() -> None:
    model, flat, optimizer = tiny("sgd")
    masked = Masked(optimizer, Mask({}))
    pruner = MagnitudePruner(masked, list(linear_weights(model)), lambda step: 0.5)
    train(model, flat, masked, 2)
    with refused(ConfigError, "2 steps", "0 times"):
        pruner.stripped()
    with pytest.raises(ConfigError, match="took 2 steps"):
        pruner.step()
    with pytest.raises(ConfigError, match="the optimiser has no parameter w"):
        MagnitudePruner(masked, ["w"], lambda step: 0.5)


def test_linear_weights_are_the_matrices_of_the_layers_themselves() -> None:
    model = GPT(ModelConfig(vocabulary=11, context=8, layers=2, heads=2, width=8))
    weights = linear_weights(model)
    layers = ("attention.qkv", "attention.out", "mlp.up", "mlp.down")
    assert list(weights) == [f"blocks.{b}.{layer}.weight" for b in range(2) for layer in layers]
    weights["blocks.1.mlp.up.weight"][...] = 7
    assert (model.blocks[1].mlp.up.weight.data == 7).all()
    quantize_weights(model.blocks[1].mlp.down)
    with pytest.raises(ConfigError, match="blocks.1.mlp.down is quantised"):
        linear_weights(model)
