"""Looks up rows of a table by token, and computes logits from activations with the same table.

The gradient of a look-up is a scatter-add: row t of the table gets the sum of the gradients at all positions
with token t. After sorting by token, these positions are neighbours. One matrix-vector product adds the
gradients at these positions. Positions with the same token keep the order of the text, so the sum has the
same bits in every run.

Example: the sorted tokens of 7 2 7 are 2 7 7, from the positions 1, 0, 2. Row 2 gets g[1], and row 7 gets
g[0] + g[2].
"""

# V: size of the vocabulary, D: model width

from __future__ import annotations

import numpy as np

from minipar.autograd.autocast_hook import castable
from minipar.autograd.capture_hook import capturable
from minipar.autograd.fused.kernels import column_sum
from minipar.autograd.shapes import transpose
from minipar.autograd.tape import Contribution
from minipar.autograd.tensor import Tensor, record
from minipar.errors import DataError, ShapeError


def plain_embedding(tokens: np.ndarray, table: Tensor) -> Tensor:
    """Defines `embedding` as the product of one-hot vectors and the table."""
    one_hot = (tokens[..., None] == np.arange(len(table.data))).astype(table.dtype)         # [..., V]
    return Tensor(one_hot) @ table


@castable
@capturable
def embedding(tokens: np.ndarray, table: Tensor) -> Tensor:
    """Returns the rows of table [V, D] at tokens [...] (integers from 0 to V - 1), with shape [..., D].

    Raises ShapeError for tokens that are not integers, and DataError for a token outside the table.
    """
    rows = table.data
    if tokens.dtype.kind not in "iu":
        raise ShapeError(f"embedding: tokens are {tokens.dtype}; they must be integers")
    if tokens.size and (tokens.min() < 0 or tokens.max() >= len(rows)):
        raise DataError(f"token {tokens.min() if tokens.min() < 0 else tokens.max()} is outside the "
                        f"vocabulary of {len(rows)}")

    def scatter(g: np.ndarray, out: np.ndarray | None) -> np.ndarray:
        out = np.empty(rows.shape, g.dtype) if out is None else out
        out[...] = 0
        by_token = g.reshape(-1, rows.shape[1])[np.argsort(tokens, axis=None, kind="stable")]
        present, counts = np.unique(tokens, return_counts=True)
        ends = np.cumsum(counts)
        for token, start, end in zip(present, ends - counts, ends, strict=True):
            column_sum(by_token[start:end], out[token])
        return out

    return record(rows[tokens], (table,), lambda g: (lambda out: scatter(g, out),))


def plain_unembedding(x: Tensor, table: Tensor) -> Tensor:
    """Defines `unembedding` by small ops."""
    return x @ transpose(table, (1, 0))


@castable
@capturable
def unembedding(x: Tensor, table: Tensor) -> Tensor:
    """Returns logits [..., V]: x [..., D] times the transpose of table [V, D] (tied embeddings, Press and
    Wolf 2017).
    """
    x_shape, rows = x.shape, table.data
    flat = x.data.reshape(-1, rows.shape[1])                        # [n, D]

    def vjp(g: np.ndarray) -> tuple[Contribution, ...]:
        g = g.reshape(-1, len(rows))                                # [n, V]
        return (g @ rows).reshape(x_shape), lambda out: np.matmul(g.T, flat, out=out)

    return record((flat @ rows.T).reshape(*x_shape[:-1], len(rows)), (x, table), vjp)
