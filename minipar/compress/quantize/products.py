"""Replacements for x W + b in a linear layer: with rounded weights, with integers, or recording x.

A layer's product is a function (x [..., I], b [O] or None) -> [..., O]; see LinearLayer in minipar.nn.
"""

# n rows of x, I inputs, O outputs

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from minipar.autograd import Tensor, linear, reshape
from minipar.compress.quantize.affine import Quantized, quantize
from minipar.compress.quantize.fake import fake_quantize
from minipar.compress.quantize.grid import Limits
from minipar.compress.quantize.integer import integer_linear
from minipar.compress.quantize.limits import minmax
from minipar.compress.quantize.scheme import Scheme
from minipar.compress.reduction import Reduce, single_process
from minipar.nn import Parameter


@dataclass
class WeightOnly:
    """Integers in memory, floats in the product: the weight is dequantised for every call. Gradients reach x
    and b.
    """

    weight: Quantized                                               # [I, O]

    def __call__(self, x: Tensor, bias: Tensor | None) -> Tensor:
        return linear(x, Tensor(self.weight.dequantize()), bias)


@dataclass
class Integer:
    """An integer product. x is quantised in each call: over `limits` from calibration data ("static"), or, if
    None, over the range of this call ("dynamic range").

    For inference: there is no gradient. reduce: over the ranks that share a row of x, see limits.py; used for
    dynamic range only.
    """

    weight: Quantized                                               # [I, O]
    activations: Scheme
    limits: Limits | None
    name: str                                                       # of x, in errors
    reduce: Reduce = single_process

    def __call__(self, x: Tensor, bias: Tensor | None) -> Tensor:
        rows = x.data.reshape(-1, x.shape[-1])                      # [n, I]
        limits = self.limits or minmax(rows, self.activations, self.reduce, name=self.name)
        y = integer_linear(quantize(rows, self.activations, limits, name=self.name), self.weight)
        if bias is not None:
            y += bias.data
        return Tensor(y.reshape(*x.shape[:-1], -1))


@dataclass
class Fake:
    """Float weights, rounded in every call to a fixed grid: quantisation-aware training (Jacob et al. 2018).

    Gradients reach x, the weight and b. activations: if given, the rows of x are rounded too, over the range
    of each call.
    """

    weight: Parameter                                               # [I, O]
    scheme: Scheme
    limits: Limits
    activations: Scheme | None
    name: str
    reduce: Reduce

    def __call__(self, x: Tensor, bias: Tensor | None) -> Tensor:
        rows = reshape(x, (-1, x.shape[-1]))                        # [n, I]
        if self.activations:
            limits = minmax(rows.data, self.activations, self.reduce, name=self.name)
            rows = fake_quantize(rows, self.activations, limits, name=self.name)
        y = linear(rows, fake_quantize(self.weight, self.scheme, self.limits, name=self.weight.name), bias)
        return reshape(y, (*x.shape[:-1], y.shape[-1]))


@dataclass
class RangeObserver:
    """The float product, which records the rows of x: for calibration."""

    weight: Parameter                                               # [I, O]
    seen: list[np.ndarray] = field(default_factory=list)            # [n, I] each

    def __call__(self, x: Tensor, bias: Tensor | None) -> Tensor:
        self.seen.append(x.data.reshape(-1, x.shape[-1]))
        return linear(x, self.weight, bias)
