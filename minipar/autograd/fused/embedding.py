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


def plain_embedding(tokens: np.ndarray, table: Tensor, shard: slice | None = None) -> Tensor:
    """Defines `embedding` as the product of one-hot vectors and the table."""
    rows = np.arange(len(table.data)) + (shard.start if shard else 0)
    one_hot = (tokens[..., None] == rows).astype(table.dtype)       # [..., V]; zeros for rows of other shards
    return Tensor(one_hot) @ table


@castable
@capturable
def embedding(tokens: np.ndarray, table: Tensor, shard: slice | None = None) -> Tensor:
    """Returns the rows of table [V, D] at tokens [...] (integers from 0 to V - 1), with shape [..., D].

    shard: the table holds only these rows of a larger table. Other tokens get zeros, and no gradient.
    Raises ShapeError for tokens that are not integers, and DataError for a token outside a whole table.
    """
    rows, here = table.data, None
    if tokens.dtype.kind not in "iu":
        raise ShapeError(f"embedding: tokens are {tokens.dtype}; they must be integers")
    if shard is not None:
        tokens, here = _in_shard(tokens, shard)
    elif tokens.size and (tokens.min() < 0 or tokens.max() >= len(rows)):
        raise DataError(f"token {tokens.min() if tokens.min() < 0 else tokens.max()} is outside the "
                        f"vocabulary of {len(rows)}")

    def scatter(g: np.ndarray, out: np.ndarray | None) -> np.ndarray:
        out = np.empty(rows.shape, g.dtype) if out is None else out
        out[...] = 0
        g = g if here is None else np.where(here[..., None], g, 0)
        by_token = g.reshape(-1, rows.shape[1])[np.argsort(tokens, axis=None, kind="stable")]
        present, counts = np.unique(tokens, return_counts=True)
        ends = np.cumsum(counts)
        for token, start, end in zip(present, ends - counts, ends, strict=True):
            column_sum(by_token[start:end], out[token])
        return out

    found = rows[tokens]
    if here is not None:
        found[~here] = 0
    return record(found, (table,), lambda g: (lambda out: scatter(g, out),))


def _in_shard(tokens: np.ndarray, shard: slice) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns the index of each token's row in the shard, 0 for a row of another shard, and a mask of the
    tokens whose row is in the shard. The mask is None if all rows are.
    """
    rows = tokens.astype(np.int64) - shard.start                    # an unsigned type has no negative numbers
    here = (rows >= 0) & (rows < shard.stop - shard.start)
    return np.where(here, rows, 0), None if here.all() else here


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
