"""Fake quantisation: floats rounded to the values that codes can represent, with a gradient, for training.

The derivative of rounding is 0 almost everywhere, so nothing would be learned (document 004, 3.2, asks for
fine-tuned integers). The straight-through estimator (Bengio et al. 2013, arXiv:1308.3432) takes the
derivative of the clipped line that rounding approximates

    y = min(max(x, low end), high end)      dy/dx = 1 inside the range, 0 where x was clipped
"""

from __future__ import annotations

import numpy as np

from minipar.autograd import Tensor, record
from minipar.compress.quantize.affine import grid_for
from minipar.compress.quantize.grid import Limits, floats, nearest
from minipar.compress.quantize.scheme import Scheme


def fake_quantize(x: Tensor, scheme: Scheme, limits: Limits | None = None, *,
                  name: str = "the tensor") -> Tensor:
    """quantize(x.data, scheme, limits).dequantize(), bit for bit, with the straight-through gradient.

    x: float32 or float64, any shape. limits: see `quantize`; they are constants without a gradient. Raises as
    `quantize` does.
    """
    data = floats(x.data, name)
    numbers, inside = nearest(data.reshape(scheme.view(data.shape)), grid_for(data, scheme, limits, name),
                              scheme)
    inside = inside.reshape(x.shape)
    return record(numbers.reshape(x.shape), (x,), lambda g: (np.where(inside, g, 0),))
