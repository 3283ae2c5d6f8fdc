"""Bugs of the sharded vocabulary: the look-up of tokens, the tied head and the softmax over several ranks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minipar.autograd import Tensor, embedding, record
from minipar.comm.collectives import all_reduce
from minipar.comm.protocol import Communicator
from minipar.nn import VocabParallelEmbedding, layers
from minipar.parallel import vocabulary
from minipar.proof.mutants.mutant import Change, after_init, mutant


@mutant("forward", tp=2)
def vocabulary_off_by_one() -> list[Change]:
    """The shard of the vocabulary begins one row too late, except on the first rank."""
    def move(layer: VocabParallelEmbedding, *arguments: Any) -> None:
        off = int(layer.rows.start > 0)
        layer.rows = slice(layer.rows.start + off, layer.rows.stop + off)
    return [after_init(VocabParallelEmbedding, move)]


@mutant("forward", tp=2)
def foreign_rows_not_masked() -> list[Change]:
    """A rank that does not hold the row of a token adds its own first row to the sum. It should add zeros."""
    def look_up(layer: VocabParallelEmbedding, tokens: np.ndarray) -> Tensor:
        row = tokens - layer.rows.start
        here = (row >= 0) & (row < len(layer.weight.data))
        return layer.region.leave(embedding(np.where(here, row, 0), layer.weight), layer.name)
    return [Change(VocabParallelEmbedding, "look_up", look_up)]


@mutant("gradients", tp=2)
def tied_look_up_lost() -> list[Change]:
    """The tied table is used in the look-up and in the head, but it gets only the gradient of the head."""
    def lost(tokens: np.ndarray, table: Tensor, shard: slice) -> Tensor:
        nothing = np.zeros_like(table.data)
        return record(embedding(tokens, table, shard).data, (table,), lambda g: (nothing,))
    return [Change(layers, "embedding", lost)]


@mutant("loss", tp=2)
def largest_logit_not_reduced() -> list[Change]:
    """Each rank subtracts the largest of its own logits, not of all logits. So the sum adds exponentials with
    different scales.
    """
    def own(comm: Communicator, array: np.ndarray, op: str, label: str) -> np.ndarray:
        return array if op == "max" else all_reduce(comm, array, op, label=label)
    return _other_sum(own)


@mutant("loss", tp=2)
def exponentials_not_reduced() -> list[Change]:
    """The sum of exponentials is not summed over tp. So each rank's softmax covers only its own rows of the
    vocabulary.
    """
    def own(comm: Communicator, array: np.ndarray, op: str, label: str) -> np.ndarray:
        total = all_reduce(comm, array, op, label=label)
        return np.stack([array[0], total[1]]) if op == "sum" else total
    return _other_sum(own)


@mutant("loss", tp=2)
def target_counted_on_every_rank() -> list[Change]:
    """The loss subtracts the logit of the target once per rank instead of once. The gradient is computed
    separately, and is right.
    """
    def often(comm: Communicator, array: np.ndarray, op: str, label: str) -> np.ndarray:
        total = all_reduce(comm, array, op, label=label)
        return np.stack([total[0], comm.size * total[1]]) if op == "sum" else total
    return _other_sum(often)


def _other_sum(function: Callable[[Communicator, np.ndarray, str, str], np.ndarray]) -> list[Change]:
    return [Change(vocabulary, "all_reduce", lambda comm, array, op="sum", *,
                   label: function(comm, array, op, label))]
