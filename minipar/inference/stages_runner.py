"""Computes the forward pass of a batch on several ranks. The layers are sharded over pp. The weights of
each layer are sharded over tp.

**Micro-batches.** If all texts pass through the pipeline together, only one rank computes at a time
(sharded_cache.py). Here the batch is divided into micro-batches of whole sequences. While a rank computes one
micro-batch, the rank before it computes the next one. Example: there are p equal stages, and each stage takes
one time unit per micro-batch. A step of M micro-batches takes M + p - 1 units, and each rank computes for M
units. So a rank is idle for the fraction (p - 1) / (M + p - 1) of the time.

Every rank receives all logits, chooses the same tokens, and has the same block tables. So the scheduler needs
no messages.
"""

# n rows (tokens) of a micro-batch, m rows whose logits are needed, D model width
# V vocabulary, v: size of this rank's shard of the vocabulary

from __future__ import annotations

import numpy as np

from minipar.autograd import Tensor, no_grad
from minipar.comm.protocol import Request
from minipar.errors import ConfigError, LayoutError
from minipar.inference.batch import RowBatch
from minipar.inference.forward import embed
from minipar.inference.options import EngineOptions
from minipar.inference.runner import cache_of, forward_of
from minipar.inference.sharded_cache import whole_logits
from minipar.parallel.stages import Stages
from minipar.parallel.tensor import SequenceRegion


class StagesRunner:
    """A Runner on several ranks. All ranks of pp and tp make the same calls. micro_batches: the number of
    micro-batches per step; 0 for one per stage.
    """

    def __init__(self, stages: Stages, options: EngineOptions, micro_batches: int = 0):
        """Raises LayoutError for sequence parallelism, because that needs texts of equal lengths."""
        if isinstance(stages.region, SequenceRegion):
            raise LayoutError("inference needs every token on each rank of tp; build the stages without "
                              "sequence parallelism")
        if micro_batches < 0:
            raise ConfigError(f"micro_batches is {micro_batches}; it must be at least 1, or 0 for one per "
                              "stage", item="micro_batches")
        self.stages, self.config = stages, stages.config
        self.micro_batches = micro_batches or len(stages.stage_to_rank)
        self._by_stage = {stage: cache_of(part, options) for stage, part in stages.parts.items()}
        self.caches = list(self._by_stage.values())
        self._forward = forward_of(stages.models, options)

    def run(self, batch: RowBatch) -> np.ndarray:
        """Return the logits [m, V] on every rank."""
        groups = batch.split(self.micro_batches)
        values: list[Tensor | None] = [None] * len(groups)
        sent: list[Request] = []
        with no_grad():
            for stage, owner in enumerate(self.stages.stage_to_rank):
                if owner == self.stages.pp.rank:
                    for number, group in enumerate(groups):
                        x = self._input(stage, group, values[number], number)
                        x = self._forward.blocks(self.stages.parts[stage], x, self._by_stage[stage], group)
                        values[number] = x
                        sent += self._send(stage, x, number)
            logits = self._logits(groups, values)
        for request in sent:
            self.stages.pp.wait(request)
        return whole_logits(self.stages, logits, len(batch.wanted))

    def _input(self, stage: int, group: RowBatch, before: Tensor | None, number: int) -> Tensor:
        """Return the activations [1, n, D] that enter a stage. They come from the tokens (first stage), from
        this rank, or from another rank.
        """
        stages = self.stages
        if stage == 0:
            return embed(stages.parts[0], group)
        source = stages.stage_to_rank[stage - 1]
        if before is not None and source == stages.pp.rank:
            return before
        x = np.empty((1, len(group.tokens), stages.config.width), stages.dtype)
        return Tensor(stages.pp.recv(x, source, label=f"rows {number} into stage {stage}"))

    def _send(self, stage: int, x: Tensor, number: int) -> list[Request]:
        order, pp = self.stages.stage_to_rank, self.stages.pp
        if stage == len(order) - 1 or order[stage + 1] == pp.rank:
            return []
        return [pp.isend(np.ascontiguousarray(x.data), order[stage + 1],
                         label=f"rows {number} into stage {stage + 1}")]

    def _logits(self, groups: list[RowBatch], values: list[Tensor | None]) -> np.ndarray | None:
        """Return the logits [m, v] of all micro-batches on the ranks of the last stage, and None on other
        ranks.
        """
        last = len(self.stages.stage_to_rank) - 1
        if last not in self.stages.parts:
            return None
        return np.concatenate([self._forward.logits(self.stages.parts[last], x, group)
                               for x, group in zip(values, groups, strict=True) if x is not None])
