"""Quantisation of shards: with `reduce` every rank has its part of what one process has; without, scales of
its own.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minipar.comm.collectives import all_reduce
from minipar.comm.protocol import Communicator
from minipar.compress.quantize import (
    FindLimits,
    Scheme,
    convert,
    linear_layers,
    minmax,
    mse,
    percentile,
    quantize_dynamic,
    quantize_in_training,
    quantize_static,
    quantize_weights,
    quantized_weight,
)
from minipar.compress.reduction import Reduce
from minipar.config import ModelConfig
from minipar.nn import GPT, SERIAL, Module, Region, RowParallelLinear
from minipar.parallel.tensor import SequenceRegion, TensorRegion
from minipar.rng import stream
from tests.ranks import ranks

TINY = ModelConfig(vocabulary=11, context=8, layers=2, heads=4, width=24)       # 3 ranks: 2, 1 and 1 heads
TOKENS = stream(0, "tokens").integers(0, 11, (3, 9))
INPUTS, TARGETS = TOKENS[:, :-1], TOKENS[:, 1:]
GROUPS = Scheme(4, False, axis=1, group=2)


def gpt(region: Region = SERIAL) -> GPT:
    model = GPT(TINY, dtype=np.float64, region=region)
    for p in model.parameters():
        p.data += p.own(stream(0, "larger", p.name).normal(0, 0.2, p.whole))
    return model


def over(comm: Communicator) -> Reduce:
    return lambda array, op: all_reduce(comm, array, op, label="limits")


def weights_only(scheme: Scheme, limits: FindLimits = minmax) -> Callable[..., None]:
    return lambda model, **options: quantize_weights(model, scheme, limits=limits, **options)


def trained(model: Module, **options: Reduce) -> None:
    quantize_in_training(model, Scheme(4, axis=1), Scheme(8, False, axis=0), limits=mse, **options)
    convert(model)


def calibrated(model: GPT, **options: Any) -> None:
    quantize_static(model, lambda: model(INPUTS), activation_limits=mse, **options)


METHODS: dict[str, Any] = {
    "per tensor": weights_only(Scheme(5)), "per column": weights_only(Scheme(3, False, axis=1)),
    "per row": weights_only(Scheme(8, False, False, axis=0)), "per group": weights_only(GROUPS),
    "per column, mse": weights_only(Scheme(3, axis=1), mse),
    "per tensor, mse": weights_only(Scheme(4, False), mse),
    "dynamic": quantize_dynamic, "static": calibrated, "trained": trained,
}


def codes(model: GPT) -> dict[str, np.ndarray]:
    weights = {layer.name: quantized_weight(layer) for layer in linear_layers(model)}
    return {name: weight.codes for name, weight in weights.items() if weight}


@pytest.mark.parametrize("sequence_parallel", [False, True])
@pytest.mark.parametrize("method", METHODS)
@ranks(2, 3, mpi=[3])
def test_shards_are_quantised_as_the_whole(comm: Communicator, method: str, sequence_parallel: bool) -> None:
    whole = gpt()
    share = gpt(SequenceRegion(comm, 8) if sequence_parallel else TensorRegion(comm))
    cuts = {layer.name: layer.weight.shard for layer in linear_layers(share)}
    METHODS[method](whole)
    METHODS[method](share, reduce=over(comm))
    own = codes(share)
    for name, all_codes in codes(whole).items():
        cut = cuts[name]
        assert cut is not None and np.array_equal(own[name], cut.take(all_codes)), name
    loss, expected = (model.loss(INPUTS, TARGETS).item() for model in (share, whole))
    assert loss == pytest.approx(expected, rel=1e-12)


@ranks(2, 3, mpi=[3])
def test_without_reduce_every_row_shard_has_scales_of_its_own(comm: Communicator) -> None:
    """They are finer, so the weights are nearer, and columns, which lie on one rank, are as in the whole."""
    whole, share = gpt(), gpt(TensorRegion(comm))
    floats = {layer.name: layer.weight.data for layer in linear_layers(share)}
    cuts = {layer.name: layer.weight.shard for layer in linear_layers(share)}
    scheme = Scheme(3, axis=1)
    quantize_weights(whole, scheme)
    quantize_weights(share, scheme)
    everything = codes(whole)
    for layer, undivided in zip(linear_layers(share), linear_layers(whole), strict=True):
        weight, other, cut = quantized_weight(layer), quantized_weight(undivided), cuts[layer.name]
        assert weight is not None and other is not None and cut is not None
        if isinstance(layer, RowParallelLinear):
            assert (weight.grid.scale <= other.grid.scale).all() and (
                weight.grid.scale < other.grid.scale
            ).any()
            here, there = weight.dequantize(), cut.take(other.dequantize())
            assert abs(here - floats[layer.name]).sum() < abs(there - floats[layer.name]).sum()
        else:
            assert np.array_equal(weight.codes, cut.take(everything[layer.name]))
    assert abs(share.loss(INPUTS, TARGETS).item() - gpt().loss(INPUTS, TARGETS).item()) < 0.5


@ranks(2, 3, mpi=[3])
def test_reduce_is_called_only_where_ranks_share_a_scale(comm: Communicator) -> None:
    calls: list[str] = []

    def counting(array: np.ndarray, op: str) -> np.ndarray:
        calls.append(op)
        return over(comm)(array, op)

    layers = 4 * TINY.layers
    for scheme, expected in ((Scheme(axis=1), layers // 2), (Scheme(axis=-1), layers // 2),
                             (Scheme(axis=0), layers // 2), (Scheme(), layers), (GROUPS, 0)):
        calls.clear()
        quantize_weights(gpt(TensorRegion(comm)), scheme, reduce=counting)
        assert calls == ["max"] * expected, scheme


@ranks(2, mpi=[])
def test_the_percentile_of_shards_is_the_widest_of_any(comm: Communicator) -> None:
    x = stream(0, "percentile", comm.rank).normal(size=(100, 3)) * (1 + comm.rank)
    scheme = Scheme(8, axis=1)
    found = percentile(x, scheme, over(comm), share=90)
    each = [stream(0, "percentile", rank).normal(size=(100, 3)) * (1 + rank) for rank in (0, 1)]
    assert np.array_equal(found.high, np.maximum(*(percentile(part, scheme, share=90).high for part in each)))
