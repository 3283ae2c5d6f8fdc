"""Defines functions that replace the product x W + b in a linear layer. They use rounded weights or integers,
or record x.

Such a function has the arguments x [..., I] and b ([O] or None), and returns [..., O]. See LinearLayer in
minipar.nn.
"""

# n: number of rows of x, I: number of inputs, O: number of outputs

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
    """Stores the weight as integers, but computes with floats: every call dequantises the weight. x and b get
    gradients.
    """

    weight: Quantized                                               # [I, O]

    def __call__(self, x: Tensor, bias: Tensor | None) -> Tensor:
        return linear(x, Tensor(self.weight.dequantize()), bias)


@dataclass
class Integer:
    """Computes with integers. Each call quantises x over `limits`, which come from calibration data
    ("static"). If `limits` is None, the range of x in this call is used ("dynamic").

    The result has no gradient, so this product is only for inference. reduce: reduces over the ranks that
    share a row of x (see limits.py). It is used only for dynamic ranges.
    """

    weight: Quantized                                               # [I, O]
    activations: Scheme
    limits: Limits | None
    name: str                                                       # name of x in errors
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
    """Rounds float weights to a fixed grid in every call, for quantisation-aware training (Jacob et al.
    2018).

    x, the weight and b get gradients. activations: if given, the rows of x are also rounded, over the range
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
    """Computes with floats, and records the rows of x for calibration."""

    weight: Parameter                                               # [I, O]
    seen: list[np.ndarray] = field(default_factory=list)            # [n, I] each

    def __call__(self, x: Tensor, bias: Tensor | None) -> Tensor:
        self.seen.append(x.data.reshape(-1, x.shape[-1]))
        return linear(x, self.weight, bias)
