"""The matrix products of a training step and nothing else: the least time that a step can take on top of this
BLAS.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import DTypeLike

import minipar as mp

BareProduct = partial[np.ndarray]                                       # np.matmul of two arrays into out=


def bare_products(config: mp.ModelConfig, batch: int, dtype: DTypeLike) -> list[BareProduct]:
    """Every product of forward and backward as a call, on arrays of its own made beforehand.

    Attention's products are batched over samples and heads, with whole [T, T] score matrices.
    """
    n, T, D, F, V = batch * config.context, config.context, config.width, config.mlp_width, config.vocabulary
    pairs, K = (batch, config.heads), config.head_width
    rng = np.random.default_rng(0)

    def product(*shapes: tuple[int, ...]) -> BareProduct:
        a, b = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
        return partial(np.matmul, a, b, out=a @ b)

    def linear(i: int, o: int) -> list[BareProduct]:
        return [product((n, i), (i, o)), product((n, o), (o, i)), product((i, n), (n, o))]      # y, dx, dw

    def attention() -> list[BareProduct]:
        scores, mix = ((*pairs, T, K), (*pairs, K, T)), ((*pairs, T, T), (*pairs, T, K))
        return [product(*shapes) for shapes in (scores, mix, scores, mix, mix, mix)]  # S, o; dP, dv, dq, dk

    layers = [linear(D, 3 * D) + attention() + linear(D, D) + linear(D, F) + linear(F, D)
              for _ in range(config.layers)]
    return [product for layer in [*layers, linear(D, V)] for product in layer]
