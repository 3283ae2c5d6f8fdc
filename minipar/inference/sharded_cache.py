"""Generates with a model that is distributed over ranks: the layers over pp, and the weights of a layer over
tp.

Every rank receives the logits. All texts advance together, so the ranks of a pipeline compute one after the
other.
"""

# B texts, T new tokens, D model width, V vocabulary, v: size of this rank's shard of the vocabulary

from __future__ import annotations

import numpy as np

from minipar.autograd import Tensor
from minipar.comm.collectives import all_gather, broadcast, even_counts
from minipar.inference.kv_cache import KVCache
from minipar.parallel.stages import Stages


class StagesCache:
    """Like KVCache, for a model in stages without sequence parallelism. All ranks of pp and tp call `logits`
    together.
    """

    def __init__(self, stages: Stages):
        self.stages = stages
        self.length = 0
        self._caches = {stage: KVCache(model) for stage, model in stages.parts.items()}

    def logits(self, tokens: np.ndarray) -> np.ndarray:
        """Return the logits [B, V] of the next token after the tokens [B, T], on every rank.

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
        part = x.data[:, -1] if isinstance(x, Tensor) and pp.rank == stages.stage_to_rank[-1] else None
        return whole_logits(stages, part, len(tokens))


def whole_logits(stages: Stages, part: np.ndarray | None, rows: int) -> np.ndarray:
    """Return the logits [rows, V] on every rank. part: the shard [rows, v] of the logits on the ranks of the
    last stage, None on the other ranks. All ranks of pp and tp call this function.
    """
    pp, tp, owner = stages.pp, stages.tp, stages.stage_to_rank[-1]
    whole = np.empty((stages.config.vocabulary, rows), stages.dtype)                               # [V, rows]
    if part is not None:
        shard = np.ascontiguousarray(part.T)                        # [v, rows]
        whole = all_gather(tp, shard, counts=even_counts(len(whole), tp.size), label="logits")
    logits: np.ndarray = broadcast(pp, whole, root=owner, label="logits").T
    return logits
