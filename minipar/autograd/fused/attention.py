"""Computes causal attention: each token gets a weighted mean of the values at its own and all earlier
positions.

    S = q k^T / sqrt(K)        P = softmax of S over the keys up to the query        o = P v

Let E = exp(S - max), and let l be the sum of E over keys. Then P = E / l. If g is the gradient of o, the
other gradients are (Dao et al. 2022, appendix B):

    dv = P^T g      dP = g v^T      delta = sum over keys of P dP = g . o
    dS = P (dP - delta)      dq = dS k      dk = dS^T q

Four properties make the code fast:

* Scores are stored as [keys, queries]. So the maximum is taken along the slow axis, where NumPy works on
  whole rows, and the sum is a product with a row of ones.
* 1 / l and the scale 1 / sqrt(K) multiply arrays [T, K], which are smaller than the weights [T, T].
* Heads are strided views. Only q and g are copied, to the layout [K, T], in the same pass that scales them.
  On small matrices, BLAS is up to twice as fast if the second matrix is stored row by row.
* Queries are processed in blocks. A block uses only the keys that its queries may use. This saves nearly half
  of the work on long texts.
"""

# B: samples of the batch, T: tokens per sample, h: heads of this rank, K: head width

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from minipar.autograd.autocast_hook import castable
from minipar.autograd.capture_hook import capturable
from minipar.autograd.fused.kernels import filled, row_dot
from minipar.autograd.probabilities import require_probabilities
from minipar.autograd.reductions import softmax
from minipar.autograd.shapes import reshape, split, swapaxes, transpose
from minipar.autograd.tape import Contribution
from minipar.autograd.tensor import Tensor, record
from minipar.errors import ShapeError

QUERIES = 64  # number of queries in one block


def plain_causal_attention(qkv: Tensor, heads: int) -> Tensor:
    """Defines `causal_attention` by small ops."""
    B, T, width = qkv.shape
    K = width // 3 // heads
    q, k, v = (transpose(reshape(part, (B, T, heads, K)), (0, 2, 1, 3))
               for part in split(qkv, [heads * K] * 3, axis=-1))
    scores = q @ swapaxes(k, -1, -2) * (1 / math.sqrt(K))           # [B, h, T, T]
    later = np.triu(np.full((T, T), -np.inf, qkv.dtype), 1)
    out = softmax(scores + later) @ v                               # [B, h, T, K]
    return reshape(transpose(out, (0, 2, 1, 3)), (B, T, heads * K))


@castable
@capturable
def causal_attention(qkv: Tensor, heads: int) -> Tensor:
    """Computes attention from qkv [B, T, 3 h K] to [B, T, h K]. qkv: queries, keys and values side by side,
    with h heads of width K each.

    Raises ShapeError if the width is not a multiple of 3 h, and RangeError if the largest score of a query is
    infinite. A NaN stays NaN. It does not change the outputs of earlier tokens.
    """
    B, T, width = qkv.shape
    if width % (3 * heads):
        raise ShapeError(f"attention: {width} columns of q, k and v do not split into {heads} heads")
    K = width // 3 // heads
    scale = 1 / math.sqrt(K)
    q, k, v = qkv.data.reshape(B, T, 3, heads, K).transpose(2, 0, 3, 1, 4)    # each [B, h, T, K], a view
    scaled_q = _transposed(q, scale)                                # [B, h, K, T]
    out = np.empty((B, T, heads, K), qkv.dtype)
    saved = []
    for start in range(0, T, QUERIES):
        end = min(start + QUERIES, T)
        with np.errstate(invalid="ignore"):                         # `_largest` raises the error
            e = k[:, :, :end] @ scaled_q[..., start:end]            # [B, h, keys, queries]
            e[:, :, start:] += _later_keys(end - start, e.dtype)
        e -= _largest(e, start)
        np.exp(e, out=e)
        inverse = 1 / (filled(end, 1.0, e.dtype) @ e)               # [B, h, queries]
        inverse = inverse.transpose(0, 2, 1)[..., None]             # [B, queries, h, 1]
        block = out[:, start:end]
        np.matmul(e.swapaxes(-1, -2), v[:, :, :end], out=block.transpose(0, 2, 1, 3))
        block *= inverse
        if not np.isfinite(block).all():
            _without_later_values(block, e, v, start, inverse)
        saved.append((start, end, e, inverse))

    def vjp(g: np.ndarray) -> tuple[Contribution, ...]:
        g = g.reshape(out.shape)
        dqkv = np.empty((B, T, 3, heads, K), out.dtype)
        dq, dk, dv = dqkv.transpose(2, 0, 3, 1, 4)
        for start, end, e, inverse in reversed(saved):
            g_block = g[:, start:end] * inverse  # g / l, so that E replaces P below
            delta = row_dot(g_block, out[:, start:end]).transpose(0, 2, 1)[:, :, None]  # [B, h, 1, queries]
            g_block = g_block.transpose(0, 2, 1, 3)                 # [B, h, queries, K]
            ds = v[:, :, :end] @ _transposed(g_block, scale)        # [B, h, keys, queries]
            ds -= delta * scale
            ds *= e
            np.matmul(ds.swapaxes(-1, -2), k[:, :, :end], out=dq[:, :, start:end])
            if end == T:  # the last block uses all keys and runs first, so it overwrites dv and dk
                np.matmul(e, g_block, out=dv)
                np.matmul(ds, q[:, :, start:end], out=dk)
            else:
                dv[:, :, :end] += e @ g_block
                dk[:, :, :end] += ds @ q[:, :, start:end]
        return (dqkv.reshape(B, T, width),)

    return record(out.reshape(B, T, heads * K), (qkv,), vjp)


def _largest(e: np.ndarray, start: int) -> np.ndarray:
    """Returns the largest score of each query, [B, h, 1, queries]. Raises RangeError if a largest score is
    infinite.

    e [B, h, keys, queries]: the scores plus the mask. The mask does not hide a NaN or +inf of a later key,
    because the sum with -inf is NaN. So if a largest score is not finite, all scores of later keys are set to
    -inf here.
    """
    largest: np.ndarray = e.max(axis=-2, keepdims=True)
    if not np.isfinite(largest).all():
        np.copyto(e[:, :, start:], -np.inf, where=np.isinf(_later_keys(e.shape[-1], e.dtype)))
        largest = e.max(axis=-2, keepdims=True)
        what = f"attention: the largest score of [batch, head, query], where queries count from {start},"
        require_probabilities(largest[:, :, 0], what)
    return largest


def _without_later_values(block: np.ndarray, e: np.ndarray, v: np.ndarray, start: int,
                          inverse: np.ndarray) -> None:
    """Computes the outputs `block` [B, queries, h, K] again, one query at a time, without the values of later
    tokens. Later tokens have the weight 0, but 0 times NaN or infinity is NaN.
    """
    for i in range(block.shape[1]):
        seen = start + i + 1
        mean = e[:, :, :seen, i][:, :, None] @ v[:, :, :seen]       # [B, h, 1, K]
        block[:, i] = mean[:, :, 0] * inverse[:, i]


def _transposed(a: np.ndarray, scale: float) -> np.ndarray:
    """Returns scale * a with the last two axes exchanged, as a new array [B, h, K, T]. a [B, h, T, K]: any
    strides.
    """
    a = a.swapaxes(-1, -2)
    scaled = np.empty(a.shape, a.dtype)
    np.multiply(a, scale, out=scaled)
    return scaled


@lru_cache
def _later_keys(n: int, dtype: np.dtype) -> np.ndarray:
    """Returns a mask [keys, queries]: -inf if the key comes after the query, else 0."""
    mask = np.tril(np.full((n, n), -np.inf, dtype), -1)
    mask.setflags(write=False)
    return mask
