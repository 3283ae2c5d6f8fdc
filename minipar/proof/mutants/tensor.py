"""Bugs of tensor parallelism: mistakes in the two conjugate operators, and wrong shards."""

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
    """The all-reduce in backward of a column-parallel layer is missing, so each rank continues with its
    partial gradient.
    """
    return [Change(TensorRegion, "enter", lambda region, x, label: x)]


@mutant("backward", tp=2)
def f_forgotten_at_the_head() -> list[Change]:
    """The blocks are right, but the head does not sum the gradients of its input. The head is
    column-parallel, too.
    """
    def enter(region: TensorRegion, x: Tensor, label: str) -> Tensor:
        return x if label in ("tokens", "head") else copy_to_region(x, region.tp, label)
    return [Change(TensorRegion, "enter", enter)]


@mutant("forward", tp=2)
def g_forgotten() -> list[Change]:
    """Row-parallel layers do not sum over ranks, so each rank continues with its partial sum."""
    return [Change(TensorRegion, "leave", lambda region, x, label: x)]


@mutant("backward", tp=2)
def g_self_dual() -> list[Change]:
    """The all-reduce in forward has another all-reduce in backward. This is a common mistake in the
    derivative of a collective.
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
    """Gradients of LayerNorms, positions and row biases are summed over tp, although each rank already has
    the whole gradient.
    """
    return [Change(TensorRegion, "replicated", lambda region, w, label: copy_to_region(w, region.tp, label))]


@mutant("gradients", dp=2, tp=2, vocabulary=64, hidden=36)
def gradients_summed_over_the_world() -> list[Change]:
    """Data parallelism sums gradients over all ranks, not only over dp. So gradients of different shards are
    added.
    """
    def connect(trainer: Trainer, *arguments: Any, **options: Any) -> None:
        trainer.reducer.dp = trainer.grid.world                     # type: ignore[union-attr]
    return [after_init(Trainer, connect)]


@mutant("forward", tp=2)
def heads_permuted() -> list[Change]:
    """The output projection's rows are assigned to the ranks in the reverse order of the heads."""
    def shard(layer: RowParallelLinear, name: str, inputs: int, *arguments: Any, **options: Any) -> None:
        if name.endswith("attention.out"):
            (mine,) = layer.weight.shard.slices                       # type: ignore[union-attr]
            layer.weight.shard = Shard(0, (slice(inputs - mine.stop, inputs - mine.start),))
    return [after_init(RowParallelLinear, shard)]


@mutant("forward", tp=2)
def qkv_sharded_in_one_block() -> list[Change]:
    """Queries, keys and values are sharded as one block of columns. So one rank has all queries and half of
    the keys.
    """
    original = ColumnParallelLinear.__init__

    def init(layer: ColumnParallelLinear, *arguments: Any, parts: int = 1, **options: Any) -> None:
        original(layer, *arguments, **options)
    return [Change(ColumnParallelLinear, "__init__", init)]


@mutant("forward", tp=2, heads=6, width=24)
def all_heads_on_every_rank() -> list[Change]:
    """A rank splits its columns of q, k and v into as many heads as the whole model has. So the heads are too
    narrow, and their scale is wrong.
    """
    def shard(layer: Attention, name: str, config: ModelConfig, *arguments: Any) -> None:
        layer.heads = config.heads
    return [after_init(Attention, shard)]
