"""Generation with a model that is spread over ranks: layers over pp, weights over tp. Every rank learns the
logits.

One text at a time leaves a pipeline nothing to overlap: its ranks work one after the other.
"""

# B batch, T new tokens, D model width, V vocabulary, v: this rank's share of it

from __future__ import annotations

import numpy as np

from minipar.autograd import Tensor
from minipar.comm.collectives import all_gather, broadcast, even_counts
from minipar.inference.kv_cache import KVCache
from minipar.parallel.stages import Stages


class StagesCache:
    """Like KVCache, for Stages whose region cuts no tokens. All ranks of pp and tp call `logits` together."""

    def __init__(self, stages: Stages):
        self.stages = stages
        self.length = 0
        self._caches = {stage: KVCache(model) for stage, model in stages.parts.items()}

    def logits(self, tokens: np.ndarray) -> np.ndarray:
        """Logits [B, V] of what follows the tokens [B, T], on every rank.

        Raises ShapeError beyond the model's context.
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
        """The last stage's logits of the last token, all of the vocabulary."""
        stages, pp, tp = self.stages, self.stages.pp, self.stages.tp
        whole = np.empty((stages.config.vocabulary, B), stages.dtype)                               # [V, B]
        if stages.stage_to_rank[-1] == pp.rank:
            assert isinstance(out, Tensor), "made by the last stage"
            part = np.ascontiguousarray(out.data[:, -1].T)                                          # [v, B]
            whole = all_gather(tp, part, counts=even_counts(len(whole), tp.size), label="logits")
        logits: np.ndarray = broadcast(pp, whole, root=stages.stage_to_rank[-1], label="logits").T
        return logits                                               # [B, V]
