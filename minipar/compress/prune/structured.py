"""Prunes whole hidden units and attention heads. The matrices become smaller, so every machine computes
faster.

A hidden unit j of an MLP is column j of `up` and row j of `down`. A head is K columns of each of q, k and v,
and K rows of `out`. After pruning, the layers are ordinary smaller layers. The rest of the model does not
change.

Units and heads are numbered over all ranks of tensor parallelism. Each unit or head is whole on one rank. All
ranks get the same list of kept units, and every rank shrinks its own shard. Before this, `reduce` collects
the scores of all ranks (see minipar.compress.reduction).
"""

# D: model width, H: number of heads, K: head width, F: number of hidden units
# h, f: numbers of heads and hidden units on this rank

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from minipar.compress.prune.select import drop_lowest
from minipar.compress.reduction import Reduce, single_process
from minipar.errors import ConfigError, LayoutError, RangeError
from minipar.nn import GPT, MLP, Attention, LinearLayer, Parameter, Shard


def unit_scores(mlp: MLP, reduce: Reduce = single_process) -> np.ndarray:
    """Returns the scores [F] of the hidden units: |column j of up| times |row j of down|. The score limits
    how much the unit can add to the residual.
    """
    _require_floats(mlp.up, mlp.down)
    own = np.linalg.norm(mlp.up.weight.data,
                         axis=0) * np.linalg.norm(mlp.down.weight.data, axis=1)             # [f]
    return _whole(own, mlp.down.weight.shard, mlp.down.weight.whole[0], reduce, mlp.name)


def head_scores(attention: Attention, reduce: Reduce = single_process) -> np.ndarray:
    """Returns the scores [H] of the heads: |columns of v| times |rows of out|. A head adds a mean of values
    times its rows of `out` to the residual.
    """
    _require_floats(attention.qkv, attention.out)
    h, K = attention.heads, _head_width(attention)
    v = attention.qkv.weight.data[:, 2 * h * K :].reshape(-1, h, K)  # [D, h, K]
    out = attention.out.weight.data.reshape(h, -1)  # [h, K D]
    own = np.sqrt((v * v).sum(axis=(0, 2))) * np.linalg.norm(out, axis=1)
    rows = attention.out.weight.shard
    assert rows is not None
    heads = Shard(0, tuple(slice(part.start // K, part.stop // K) for part in rows.slices))
    return _whole(own, heads, attention.out.weight.whole[0] // K, reduce, attention.name)


def strongest(scores: np.ndarray, ratio: float) -> np.ndarray:
    """Drops the lowest scores; `ratio` is the fraction to drop. Returns the indices of the other scores, in
    increasing order. At least one index is kept.
    """
    keep = drop_lowest({"units": scores}, ratio).keep["units"]
    return np.flatnonzero(keep) if keep.any() else np.array([int(np.argmax(scores))])


def shrink_mlp(mlp: MLP, units: np.ndarray, reduce: Reduce = single_process) -> None:
    """Keep only these hidden units of an MLP. units: indices of the F units in increasing order, equal on all
    ranks.

    The MLP gets new, smaller parameters, so Flat and the optimiser must be made afterwards. Raises
    ConfigError for invalid indices and for a quantised layer. Raises LayoutError on all ranks if a rank keeps
    no unit.
    """
    _require_floats(mlp.up, mlp.down)
    own, span = _own(units, mlp.down.weight, 1, reduce, f"hidden units of {mlp.name}")
    for layer, axis in ((mlp.up, 1), (mlp.down, 0)):
        layer.weight = _smaller(layer.weight, axis, own, len(units), (span,))
    if mlp.up.bias:
        mlp.up.bias = _smaller(mlp.up.bias, 0, own, len(units), (span,))


def shrink_attention(attention: Attention, heads: np.ndarray, reduce: Reduce = single_process) -> None:
    """Keep only these heads of an attention layer, see shrink_mlp."""
    _require_floats(attention.qkv, attention.out)
    h, K = attention.heads, _head_width(attention)
    own, span = _own(heads, attention.out.weight, K, reduce, f"heads of {attention.name}")
    rows = (own[:, None] * K + np.arange(K)).reshape(-1)  # rows of `out`, and columns of each of q, k and v
    columns = np.concatenate([part * h * K + rows for part in range(3)])
    width = len(heads) * K
    parts = tuple(slice(part * width + span.start * K, part * width + span.stop * K) for part in range(3))
    attention.qkv.weight = _smaller(attention.qkv.weight, 1, columns, 3 * width, parts)
    if attention.qkv.bias:
        attention.qkv.bias = _smaller(attention.qkv.bias, 0, columns, 3 * width, parts)
    attention.out.weight = _smaller(attention.out.weight, 0, rows, width,
                                    (slice(span.start * K, span.stop * K),))
    attention.heads = len(own)


def shrink(model: GPT, *, units: float = 0.0, heads: float = 0.0, reduce: Reduce = single_process) -> None:
    """Drop hidden units and heads with the lowest scores from every block. units, heads: the fractions to
    drop. At least one unit and one head are kept.

    Raises the errors of shrink_mlp, and ConfigError for a ratio outside 0 to 1.
    """
    for block in model.blocks:
        shrink_mlp(block.mlp, strongest(unit_scores(block.mlp, reduce), units), reduce)
        shrink_attention(block.attention, strongest(head_scores(block.attention, reduce), heads), reduce)


def shrink_to(model: GPT, state: Mapping[str, np.ndarray]) -> None:
    """Shrink a model in one process to the shapes in the state_dict of a shrunken model, and load this state.

    Raises ConfigError or ShapeError if the state belongs to another model.
    """
    if set(state) == {p.name for p in model.parameters()}:          # otherwise load_state_dict raises
        for block in model.blocks:
            mlp, attention = block.mlp, block.attention
            shrink_mlp(mlp, np.arange(len(state[mlp.down.weight.name])))
            shrink_attention(attention,
                             np.arange(len(state[attention.out.weight.name]) // _head_width(attention)))
    model.load_state_dict(state)


def _require_floats(*layers: LinearLayer) -> None:
    """Raises ConfigError for a quantised layer, because its integers and scales would keep the old shape."""
    for layer in layers:
        if layer.product is not None:
            raise ConfigError(f"{layer.name} is quantised; shrink the model first, then quantise it",
                              item=layer.name)


def _head_width(attention: Attention) -> int:
    return len(attention.out.weight.data) // attention.heads


def _whole(own: np.ndarray, shard: Shard | None, size: int, reduce: Reduce, name: str) -> np.ndarray:
    """Returns the scores of all units, gathered from all ranks. Raises RangeError on all ranks if a score is
    not finite.
    """
    scores = np.zeros(size, own.dtype)
    assert shard is not None
    shard.put(scores, own)
    scores = reduce(scores, "sum")
    if not np.isfinite(scores).all():
        raise RangeError(f"pruning: {name} holds NaN or infinity; prune finite weights",
                         item=name)
    return scores


def _own(kept: np.ndarray, rows: Parameter, width: int, reduce: Reduce,
         what: str) -> tuple[np.ndarray, slice]:
    """Returns the units that this rank keeps, numbered from its first unit, and their slice in the list of
    all kept units.

    kept: the kept units of all ranks. rows: the weight of the second layer, which has `width` rows per unit.
    """
    kept = np.asarray(kept)
    assert rows.shard is not None
    (mine,) = rows.shard.slices
    start, stop, total = mine.start // width, mine.stop // width, rows.whole[0] // width
    if not kept.size or kept[0] < 0 or kept[-1] >= total or (np.diff(kept) <= 0).any():
        raise ConfigError(f"{what} to keep: at least one index below {total}, in rising order; got "
                          f"{kept.tolist()[:8]}", item=what)
    first, last = (int(number) for number in np.searchsorted(kept, [start, stop]))
    if reduce(np.array([int(first == last)]), "sum")[0]:
        raise LayoutError(f"a rank would keep none of the {what}; keep more, or gather the model on fewer "
                          "ranks",
                          item=what)
    return kept[first:last] - start, slice(first, last)


def _smaller(p: Parameter, axis: int, own: np.ndarray, whole: int, slices: tuple[slice, ...]) -> Parameter:
    """Returns a parameter with only the indices `own` along the axis. whole: the new length of the axis over
    all ranks. slices: the part of this length that this rank has.
    """
    shape = (*p.whole[:axis], whole, *p.whole[axis + 1 :])
    smaller = Parameter(p.name, shape, p.start, Shard(axis, slices))
    smaller.data = np.ascontiguousarray(np.take(p.data, own, axis))
    return smaller
