"""Bugs of tensor parallelism: mistakes in Megatron's operators f and g, and wrong shards.

f begins a column-parallel layer. It is the identity in forward, and an all-reduce in backward. g ends a
row-parallel layer. It is an all-reduce in forward, and the identity in backward.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minipar.autograd import Tensor, record
from minipar.comm.collectives import all_reduce
from minipar.config import ModelConfig
from minipar.nn import Attention, ColumnParallelLinear, RowParallelLinear, Shard
from minipar.parallel.operators import copy_to_region, reduce_from_region
from minipar.parallel.tensor import TensorRegion
from minipar.proof.mutants.mutant import Change, after_init, mutant
from minipar.training.trainer import Trainer

ROWS = ("attention.out", "mlp.down")                                # row-parallel layers


@mutant("backward", tp=2)
def f_forgotten() -> list[Change]:
    """The all-reduce in the backward of column-parallel layers is missing. So each rank continues with its
    partial gradient.
    """
    return [Change(TensorRegion, "enter", lambda region, x, label: x)]


@mutant("backward", tp=2)
def f_forgotten_at_the_head() -> list[Change]:
    """The blocks are right, but the head does not sum the gradients of its input over tp. The head is a
    column-parallel layer, too.
    """
    def enter(region: TensorRegion, x: Tensor, label: str) -> Tensor:
        return x if label in ("tokens", "head") else copy_to_region(x, region.tp, label)
    return [Change(TensorRegion, "enter", enter)]


@mutant("forward", tp=2)
def g_forgotten() -> list[Change]:
    """Row-parallel layers do not sum their outputs over tp. So each rank continues with its partial sum."""
    return [Change(TensorRegion, "leave", lambda region, x, label: x)]


@mutant("backward", tp=2)
def g_self_dual() -> list[Change]:
    """An all-reduce in forward gets another all-reduce in backward. The right backward does nothing. This is
    a common mistake.
    """
    def leave(region: TensorRegion, x: Tensor, label: str) -> Tensor:
        total = all_reduce(region.tp, x.data, label=f"{label} forward")
        return record(total, (x,), lambda g: (all_reduce(region.tp, g, label=f"{label} backward"),))
    return [Change(TensorRegion, "leave", leave)]


@mutant("forward", tp=2)
def row_bias_on_every_rank() -> list[Change]:
    """Each rank adds the row-parallel layer's bias before the sum, so the bias is added tp times."""
    return [Change(TensorRegion, "replicated", _row_bias(lambda region: 1.0))]


@mutant("gradients", tp=2)
def row_bias_shared_out() -> list[Change]:
    """Each rank adds bias / tp before the sum. Forward is right, but the bias gets 1 / tp of its gradient."""
    return [Change(TensorRegion, "replicated", _row_bias(lambda region: 1 / region.tp.size))]


def _row_bias(scale: Callable[[TensorRegion], float]) -> Callable[[TensorRegion, Tensor, str], Tensor]:
    def replicated(region: TensorRegion, w: Tensor, label: str) -> Tensor:
        return reduce_from_region(w * scale(region), region.tp, label) if label.endswith(ROWS) else w
    return replicated


@mutant("gradients", tp=2)
def whole_gradients_summed() -> list[Change]:
    """The gradients of LayerNorms, positions and biases of row-parallel layers are summed over tp, although
    each rank already has the whole gradient.
    """
    return [Change(TensorRegion, "replicated", lambda region, w, label: copy_to_region(w, region.tp, label))]


@mutant("gradients", dp=2, tp=2, vocabulary=64, hidden=36)
def gradients_summed_over_the_world() -> list[Change]:
    """Data parallelism sums gradients over all ranks instead of over dp. So it adds gradients of different
    shards.
    """
    def connect(trainer: Trainer, *arguments: Any, **options: Any) -> None:
        trainer.reducer.dp = trainer.grid.world                     # type: ignore[union-attr]
    return [after_init(Trainer, connect)]


@mutant("forward", tp=2)
def heads_permuted() -> list[Change]:
    """The ranks get the rows of attention's output projection in reverse order. So the rows belong to the
    heads of another rank.
    """
    def shard(layer: RowParallelLinear, name: str, inputs: int, *arguments: Any, **options: Any) -> None:
        if name.endswith("attention.out"):
            (mine,) = layer.weight.shard.slices                       # type: ignore[union-attr]
            layer.weight.shard = Shard(0, (slice(inputs - mine.stop, inputs - mine.start),))
    return [after_init(RowParallelLinear, shard)]


@mutant("forward", tp=2)
def qkv_sharded_in_one_block() -> list[Change]:
    """The matrix of queries, keys and values is sharded as one block of columns, not as three. So one rank
    has all queries and half of the keys.
    """
    original = ColumnParallelLinear.__init__

    def init(layer: ColumnParallelLinear, *arguments: Any, parts: int = 1, **options: Any) -> None:
        original(layer, *arguments, **options)
    return [Change(ColumnParallelLinear, "__init__", init)]


@mutant("forward", tp=2, heads=6, width=24)
def all_heads_on_every_rank() -> list[Change]:
    """A rank splits its queries, keys and values into as many heads as the whole model has. So the heads are
    too narrow, and the scale of the scores is wrong.
    """
    def shard(layer: Attention, name: str, config: ModelConfig, *arguments: Any) -> None:
        layer.heads = config.heads
    return [after_init(Attention, shard)]
