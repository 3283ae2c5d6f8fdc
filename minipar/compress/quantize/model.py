"""Quantises linear layers in place: the layers of a GPT, a single layer, or a rank's shards of them.

    quantize_weights       stores integers, but computes with floats ("weight only")
    quantize_dynamic       computes with integers; measures the range of activations in each call ("dynamic")
    quantize_static        computes with integers; takes the range of activations from calibration data
    quantize_in_training   keeps float weights and rounds them in every product; train, then call `convert`

Embeddings, LayerNorms and biases stay floats. After quantisation, `layer.product` has the integers, and
`layer.weight` is deleted. The model can also be a single linear layer. (The code in course document
002, 5.1, replaces only the children of a module, so it would leave out such a layer.)

With tensor parallelism, pass `reduce` (see limits.py) to get the scales of the whole model. It is called only
if values on several ranks share a scale. These are the weights and inputs of row-parallel layers, and the
weights of all layers if there is one scale per weight. Without `reduce`, every shard gets its own scales. All
ranks make the same calls.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minipar.autograd import no_grad
from minipar.compress.quantize.affine import Quantized, quantize
from minipar.compress.quantize.grid import Limits
from minipar.compress.quantize.limits import FindLimits, minmax
from minipar.compress.quantize.products import Fake, Integer, RangeObserver, WeightOnly
from minipar.compress.quantize.scheme import Scheme
from minipar.compress.reduction import Reduce, single_process
from minipar.errors import ConfigError
from minipar.nn import LinearLayer, Module, Parameter, RowParallelLinear

WEIGHTS = Scheme(bits=8, axis=1)                                    # int8, one scale per output
TOKENS = Scheme(bits=8, symmetric=False, axis=0)                    # int8, one scale per row of activations
WHOLE = Scheme(bits=8, symmetric=False)  # int8, one scale for all activations of a layer


def linear_layers(model: Module) -> list[LinearLayer]:
    """Returns the linear layers of a model. The model itself can be a linear layer. Raises ConfigError if
    there is none.
    """
    layers = [module for module in model.modules() if isinstance(module, LinearLayer)]
    if not layers:
        raise ConfigError(f"{model.name} has no linear layer to quantise", item=model.name)
    return layers


def quantize_weights(model: Module, scheme: Scheme = WEIGHTS, *, limits: FindLimits = minmax,
                     reduce: Reduce = single_process) -> None:
    """Quantise the weights of all linear layers. Raises ConfigError if a layer is already quantised."""
    for layer, weight in _rounded(model, scheme, limits, reduce).items():
        set_quantized_weight(layer, weight)


def quantize_dynamic(model: Module, scheme: Scheme = WEIGHTS, activations: Scheme = TOKENS, *,
                     limits: FindLimits = minmax, reduce: Reduce = single_process) -> None:
    """Replace the weights by integers, and the products by integer products. The model can then only be used
    for inference. integer_linear describes the possible schemes.
    """
    for layer, weight in _rounded(model, scheme, limits, reduce).items():
        _replace(layer, Integer(weight, activations, None, _input(layer), _over_inputs(layer, reduce)))


def quantize_static(model: Module, run: Callable[[], object], scheme: Scheme = WEIGHTS,
                    activations: Scheme = WHOLE, *,
                    limits: FindLimits = minmax, activation_limits: FindLimits = minmax,
                    reduce: Reduce = single_process) -> None:
    """Replace weights and products like quantize_dynamic, but measure the ranges of the activations only
    once. run(): a function that passes calibration data through the model.

    All activations of this data are kept in memory. A few batches are enough. activations: a scheme with one
    scale for all rows. Raises ConfigError if a layer receives no data.
    """
    if activations.axis is not None:
        raise ConfigError("calibration finds one range for all rows; choose activations without an axis")
    watches = {layer: RangeObserver(float_weight(layer)) for layer in linear_layers(model)}
    before = {layer: layer.product for layer in watches}
    try:
        for layer, watch in watches.items():
            layer.product = watch
        with no_grad():
            run()
    finally:
        for layer, product in before.items():
            layer.product = product
    for layer, watch in watches.items():
        if not watch.seen:
            raise ConfigError(
                f"no calibration data reached {layer.name}; run() must use the whole model",
                item=layer.name
            )
    found = {layer: activation_limits(np.concatenate(watch.seen), activations, _over_inputs(layer, reduce),
                                      name=_input(layer))
             for layer, watch in watches.items()}
    for layer, weight in _rounded(model, scheme, limits, reduce).items():
        _replace(layer, Integer(weight, activations, found[layer], _input(layer)))


def quantize_in_training(model: Module, scheme: Scheme = WEIGHTS, activations: Scheme | None = None, *,
                         limits: FindLimits = minmax, reduce: Reduce = single_process) -> None:
    """Make every linear layer compute with rounded weights (and activations), while its float weights are
    trained.

    Limits are computed once and kept. Call this function again to update them. The parameters stay the same
    objects, so optimisers remain valid.
    """
    products = {}
    for layer in linear_layers(model):
        weight = float_weight(layer)
        found = _find(weight, scheme, limits, reduce)
        products[layer] = Fake(weight, scheme, found, activations, _input(layer), _over_inputs(layer, reduce))
    for layer, product in products.items():
        layer.product = product


def convert(model: Module) -> None:
    """Quantise the weights of a model that `quantize_in_training` has prepared. The model then computes the
    same bits as before, with one exception.

    Layers with rounded activations get integer products, which add in another order. So the last bit of their
    results can differ, and then an activation of the next layer can get another integer. Raises
    ConfigError for a layer that was not prepared.
    """
    for layer in linear_layers(model):
        fake = layer.product
        if not isinstance(fake, Fake):
            raise ConfigError(
                f"{layer.name} was not prepared; call quantize_in_training, train, then convert",
                item=layer.name,
            )
        weight = quantize(fake.weight.data, fake.scheme, fake.limits, name=fake.weight.name)
        if fake.activations:
            _replace(layer, Integer(weight, fake.activations, None, fake.name, fake.reduce))
        else:
            set_quantized_weight(layer, weight)


def quantized_weight(layer: LinearLayer) -> Quantized | None:
    """Returns the quantised weight of a layer, or None if it has a float weight."""
    return layer.product.weight if isinstance(layer.product, WeightOnly | Integer) else None


def float_weight(layer: LinearLayer) -> Parameter:
    """Returns the float weight of a layer. Raises ConfigError if the layer is already quantised."""
    if quantized_weight(layer):
        raise ConfigError(f"{layer.name} is quantised already; its float weight was deleted", item=layer.name)
    return layer.weight


def set_quantized_weight(layer: LinearLayer, weight: Quantized) -> None:
    """Replace a layer's float weight by a quantised weight, which is dequantised in every product."""
    _replace(layer, WeightOnly(weight))


def stored_bytes(model: Module) -> int:
    """Returns the bytes that a model needs in a file, without names: packed integers, scales and float
    parameters.
    """
    integers = (quantized_weight(module) for module in model.modules() if isinstance(module, LinearLayer))
    return sum(q.nbytes for q in integers if q) + sum(p.data.nbytes for p in model.parameters())


def _rounded(model: Module, scheme: Scheme, limits: FindLimits,
             reduce: Reduce) -> dict[LinearLayer, Quantized]:
    """Returns the quantised weights of all layers. It changes no layer, so an error leaves the model as it
    was.
    """
    rounded = {}
    for layer in linear_layers(model):
        weight = float_weight(layer)
        rounded[layer] = quantize(weight.data, scheme, _find(weight, scheme, limits, reduce),
                                  name=weight.name)
    return rounded


def _input(layer: LinearLayer) -> str:
    """Returns the name of a layer's activations for errors."""
    return f"the input of {layer.name}"


def _replace(layer: LinearLayer, product: WeightOnly | Integer) -> None:
    layer.product = product
    del layer.weight


def _find(weight: Parameter, scheme: Scheme, limits: FindLimits, reduce: Reduce) -> Limits:
    """Returns the limits of a weight. If shards on other ranks share its scales, the limits are reduced over
    the ranks.
    """
    along = None if scheme.axis is None else scheme.axis % weight.ndim
    apart = not weight.is_sharded or scheme.group or (weight.shard is not None and along == weight.shard.axis)
    return limits(weight.data, scheme, single_process if apart else reduce, name=weight.name)


def _over_inputs(layer: LinearLayer, reduce: Reduce) -> Reduce:
    """Returns `reduce` if a row of the layer's input is sharded, else the reduction over one rank."""
    return reduce if isinstance(layer, RowParallelLinear) else single_process
