"""Bugs of ZeRO: the sum of gradients, the shards, and the state of the optimiser. gathering.py contains bugs
of gathered weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minipar.comm.collectives import all_gather, reduce_scatter
from minipar.comm.protocol import Communicator
from minipar.nn import Parameter
from minipar.optim import ParameterStore, Run
from minipar.parallel import sharded_gradients
from minipar.parallel.norm import global_norm
from minipar.parallel.sharded import ShardedStore
from minipar.parallel.sharded_gradients import ShardedReducer, StreamedReducer
from minipar.parallel.shards import Unit
from minipar.parallel.stages import Stages
from minipar.proof.mutants.batches import around_backward
from minipar.proof.mutants.mutant import Change, after_init, mutant
from minipar.training import trainer as train
from minipar.training.trainer import Trainer

PIECES = 3  # number of micro-batches


@mutant("gradients", dp=2, zero=1)
def averaged_twice_by_reduce_scatter() -> list[Change]:
    """The loss is already divided by the number of tokens of the global batch, but the reduce-scatter of ZeRO
    takes the mean, too.
    """
    def mean(comm: Communicator, array: np.ndarray, **options: Any) -> np.ndarray:
        return reduce_scatter(comm, array, "mean", **options)
    return [Change(sharded_gradients, "reduce_scatter", mean)]


@mutant("norm", dp=2, zero=2)
def norm_of_one_shard() -> list[Change]:
    """Each rank clips its shard of the gradient by the norm of this shard. So the clipping factor differs
    from rank to rank.
    """
    def norm(store: ParameterStore, tp: Communicator, pp: Communicator, copies: set[str],
             shards: Communicator) -> float:
        return global_norm(store, tp, pp, copies)
    return [Change(train, "global_norm", norm)]


@mutant("gradients", dp=2, zero=1, micro_batches=PIECES)
def accumulation_reduced_too_early() -> list[Change]:
    """After each micro-batch, the accumulated gradient is reduce-scattered, and the result stays in the
    buffer that accumulates gradients. So the gradients of earlier micro-batches are summed several times.
    """
    def reduce(trainer: Trainer, last: bool) -> None:
        if not last:
            assert trainer.reducer is not None, "zero has a reducer"
            trainer.reducer.finish()
    return [around_backward(after=reduce)]


@mutant("gradients", dp=2, zero=2, micro_batches=PIECES)
def shard_overwritten_by_each_micro_batch() -> list[Change]:
    """The summed gradient of a micro-batch replaces the shard of earlier micro-batches instead of being added
    to it. So only the last micro-batch counts.
    """
    def settle(reducer: StreamedReducer) -> None:
        for piece, handle in reducer.reducing:
            piece.gradient[...] = handle.wait()
            reducer.store.in_flight.remove(handle)
        reducer.reducing.clear()
    return [Change(StreamedReducer, "settle", settle)]


@mutant("gradients", dp=2, zero=2)
def unit_reduced_before_it_is_complete() -> list[Change]:
    """The gradients of a unit (a group of parameters) are summed over dp when the first gradient is complete,
    not when the last gradient is complete.
    """
    original = StreamedReducer.complete

    def complete(reducer: StreamedReducer, unit: Unit, p: Parameter, gradient: np.ndarray) -> None:
        if len(reducer.missing[unit]) == len(unit.flat.parameters) > 1:
            reducer.missing[unit] = {p}
            original(reducer, unit, p, gradient)
            reducer.settle()
            reducer.missing[unit] = set(unit.flat.parameters) - {p}
        else:
            reducer.missing[unit].discard(p)
            if not reducer.missing[unit]:
                reducer.missing[unit] = set(unit.flat.parameters)
                unit.flat.zero_grad()
    return [Change(StreamedReducer, "complete", complete)]


@mutant("first update", dp=2, zero=1)
def weights_not_gathered_after_the_step() -> list[Change]:
    """Each rank updates its own shard, but keeps the old weights of all other shards."""
    return [Change(ShardedReducer, "updated", lambda reducer: None)]


@mutant("first update", dp=3, zero=1)
def padding_of_the_last_shard_leaks() -> list[Change]:
    """Shards are padded to equal lengths for the all-gather, but the padding is not removed from the result.
    So the weights after the padding are shifted.
    """
    def padded(comm: Communicator, array: np.ndarray, *, counts: list[int], out: np.ndarray,
               **options: Any) -> None:
        longest = max(counts)
        everything = all_gather(comm, np.resize(np.append(array, 0), longest), counts=[longest] * comm.size,
                                **options)
        out[...] = everything[:len(out)]
    return [Change(sharded_gradients, "all_gather", padded)]


@mutant("resume", dp=2, zero=2)
def state_of_the_neighbours_shard() -> list[Change]:
    """After a restart, a rank loads the optimiser state of its neighbour's shard.
    """
    def load(store: ShardedStore, state: np.ndarray, arrays: Mapping[str, np.ndarray]) -> None:
        for unit in store.units:
            whole = np.concatenate([arrays[p.name].reshape(-1) for p in unit.flat.parameters])
            for message in unit.messages:
                state[message.kept] = np.roll(whole, message.counts[0])[message.own]
    return [Change(ShardedStore, "load_state", load)]


@mutant("norm", dp=2, pp=2, zero=2, layers=3)
def sharded_tied_table_counted_twice() -> list[Change]:
    """The first and the last stage both count their shard of the tied table in the norm of the gradient. So
    clipping starts too early.
    """
    def forget(stages: Stages, *arguments: Any, **options: Any) -> None:
        stages.copies = set()
    return [after_init(Stages, forget)]


@mutant("gradients", dp=2, pp=2, zero=2, layers=3)
def tied_shards_not_summed() -> list[Change]:
    """The gradient of the tied table is summed over dp, but not over both ends of the pipeline."""
    return [Change(Stages, "add_tied", lambda stages, store: None)]


@mutant("AdamW losses", dp=2, zero=1)
def decay_of_a_whole_shard() -> list[Change]:
    """Weight decay is applied to the whole shard, so biases and LayerNorms decay, too. Only matrices should
    decay.
    """
    return [_runs(lambda run: run._replace(decays=True))]


def _runs(change: Callable[[Run], Run]) -> Change:
    original = ShardedStore.runs
    return Change(ShardedStore, "runs", lambda store: [change(run) for run in original(store)])


@mutant("memory", dp=2, zero=1)
def state_sharded_in_name_only() -> list[Change]:
    """The optimiser allocates its state for all elements, but uses only the elements of its shard. The
    training is right, but no memory is saved.
    """
    def zeros(store: ShardedStore) -> np.ndarray:
        return np.zeros(sum(unit.size for unit in store.units), store.parameters[0].dtype)
    return [Change(ShardedStore, "zeros", zeros)]
