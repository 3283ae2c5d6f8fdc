"""Fake quantisation: numbers rounded to where codes would put them, but still floats, so that a model can be
trained with it.

Rounding is flat between its jumps: its derivative is 0 almost everywhere, and nothing would be learned
(document 004, 3.2, wants integers fine-tuned). The straight-through estimator (Bengio et al. 2013,
arXiv:1308.3432) takes the derivative of what rounding approximates instead, the clipped line

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

    x: float32 or float64, any shape. limits: see `quantize`; they are taken as constants. Raises as
    `quantize` does.
    """
    data = floats(x.data, name)
    numbers, inside = nearest(data.reshape(scheme.view(data.shape)), grid_for(data, scheme, limits, name),
                              scheme)
    inside = inside.reshape(x.shape)
    return record(numbers.reshape(x.shape), (x,), lambda g: (np.where(inside, g, 0),))
