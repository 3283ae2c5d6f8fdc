"""Generation with a model that is distributed over ranks: layers over pp, weights over tp.

Every rank receives the logits. There is only one text at a time, so the ranks of a pipeline cannot overlap;
they compute one after the other.
"""

# B batch, T new tokens, D model width, V vocabulary, v: this rank's shard of it

from __future__ import annotations

import numpy as np

from minipar.autograd import Tensor
from minipar.comm.collectives import all_gather, broadcast, even_counts
from minipar.inference.kv_cache import KVCache
from minipar.parallel.stages import Stages


class StagesCache:
    """As KVCache, for Stages without sequence parallelism. All ranks of pp and tp call `logits` together."""

    def __init__(self, stages: Stages):
        self.stages = stages
        self.length = 0
        self._caches = {stage: KVCache(model) for stage, model in stages.parts.items()}

    def logits(self, tokens: np.ndarray) -> np.ndarray:
        """The logits [B, V] of the next token after the tokens [B, T], on every rank.

        Raises ShapeError if the text becomes longer than the model's context.
        """
        stages, pp = self.stages, self.stages.pp
        x: np.ndarray | Tensor = tokens
        for stage, owner in enumerate(stages.stage_to_rank):
            if owner == pp.rank:
                if stage > 0 and stages.stage_to_rank[stage - 1] != owner:
                    x = Tensor(np.empty((*tokens.shape, stages.config.width),
                                        stages.dtype))        # [B, T, D]
                    pp.recv(x.data, stages.stage_to_rank[stage - 1], label=f"tokens into stage {stage}")
                x = self._caches[stage].extend(x)
                if stage < len(stages.stage_to_rank) - 1 and stages.stage_to_rank[stage + 1] != owner:
                    pp.send(np.ascontiguousarray(x.data), stages.stage_to_rank[stage + 1],
                            label=f"tokens into stage {stage + 1}")
        self.length += tokens.shape[1]
        return self._everywhere(x, len(tokens))

    def _everywhere(self, out: np.ndarray | Tensor, B: int) -> np.ndarray:
        """The logits of the last token, for the whole vocabulary, from the last stage to every rank."""
        stages, pp, tp = self.stages, self.stages.pp, self.stages.tp
        whole = np.empty((stages.config.vocabulary, B), stages.dtype)                               # [V, B]
        if stages.stage_to_rank[-1] == pp.rank:
            assert isinstance(out, Tensor), "the last stage returns a Tensor"
            part = np.ascontiguousarray(out.data[:, -1].T)                                          # [v, B]
            whole = all_gather(tp, part, counts=even_counts(len(whole), tp.size), label="logits")
        logits: np.ndarray = broadcast(pp, whole, root=stages.stage_to_rank[-1], label="logits").T
        return logits                                               # [B, V]
