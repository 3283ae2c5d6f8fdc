"""Rounds floats to the values of codes, with a gradient for training: fake quantisation.

The course document 004 (3.2) asks for integers that are fine-tuned. But the derivative of rounding is 0
almost everywhere, so training would not change the weights. The straight-through estimator (Bengio et al.
2013, arXiv:1308.3432) replaces this derivative by the derivative of a clipped line y(x), which rounding
approximates:

    y = min(max(x, low end), high end)      dy/dx = 1 inside the range, 0 if x was clipped
"""

from __future__ import annotations

import numpy as np

from minipar.autograd import Tensor, record
from minipar.compress.quantize.affine import grid_for
from minipar.compress.quantize.grid import Limits, floats, nearest
from minipar.compress.quantize.scheme import Scheme


def fake_quantize(x: Tensor, scheme: Scheme, limits: Limits | None = None, *,
                  name: str = "the tensor") -> Tensor:
    """Returns the same bits as quantize(x.data, scheme, limits).dequantize(), with the straight-through
    gradient.

    x: float32 or float64, any shape. limits: see `quantize`; they are constants without a gradient. Raises
    the errors of `quantize`.
    """
    data = floats(x.data, name)
    numbers, inside = nearest(data.reshape(scheme.view(data.shape)), grid_for(data, scheme, limits, name),
                              scheme)
    inside = inside.reshape(x.shape)
    return record(numbers.reshape(x.shape), (x,), lambda g: (np.where(inside, g, 0),))
