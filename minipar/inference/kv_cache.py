"""Defines the KV cache, which stores the keys and values of earlier tokens.

So the model computes only the new tokens, not the whole text again. The cache replaces the model's attention
by its own. The rest of the model is unchanged.

Example: the text has 3 tokens. Then the fourth token is computed, with T = 1 and S = 4. Its query is compared
with 4 keys, and 3 of these keys are in the cache.
"""

# B texts, T new tokens, S all tokens so far (also the new ones), h heads, K head width, D model width
# V vocabulary

from __future__ import annotations

import math
from functools import partial

import numpy as np

from minipar.autograd import Tensor, no_grad, softmax
from minipar.errors import ShapeError
from minipar.nn.gpt import GPT
from minipar.nn.recomputation import Attend


class KVCache:
    """A GPT with a cache, for generation. Each call of `logits` continues after the tokens of the last call.
    No gradients are recorded.
    """

    def __init__(self, model: GPT):
        self.model = model
        self.length = 0                                             # S
        self._layers: dict[int, np.ndarray] = {}                    # layer -> keys and values [2, B, h, S, K]

    def logits(self, tokens: np.ndarray) -> np.ndarray:
        """Return the logits [B, V] of the next token after the tokens [B, T].

        Raises ShapeError if the text becomes longer than the model's context, or if B differs from the last
        call.
        """
        return self.extend(tokens).data[:, -1]

    def extend(self, x: np.ndarray | Tensor) -> Tensor:
        """Return the output of the model, or of a part, for new tokens [B, T] or their activations [B, T, D].
        """
        for kept in self._layers.values():
            if kept.shape[1] != x.shape[0]:
                raise ShapeError(f"the cache holds {kept.shape[1]} sequences, the input has {x.shape[0]}; "
                                 "make a new cache for each batch")
        with no_grad():
            out = self.model.forward(x, attend=self._core, start=self.length)
        self.length += x.shape[1]
        return out

    def _core(self, layer: int) -> Attend:
        return partial(self._attend, layer)

    def _attend(self, layer: int, qkv: Tensor, heads: int) -> Tensor:
        B, T, width = qkv.shape
        K = width // 3 // heads
        q, *new = qkv.data.reshape(B, T, 3, heads, K).transpose(2, 0, 3, 1, 4)  # each [B, h, T, K]
        before = [self._layers[layer]] if layer in self._layers else []
        # each [B, h, S, K]
        keys, values = self._layers[layer] = np.concatenate([*before, np.stack(new)], axis=-2)
        scores = q @ keys.swapaxes(-1, -2) * (1 / math.sqrt(K))     # [B, h, T, S]
        S = scores.shape[-1]
        scores += np.triu(np.full((T, S), -np.inf, qkv.dtype), S - T + 1)  # token i has position S - T + i
        out = softmax(Tensor(scores)).data @ values                 # [B, h, T, K]
        return Tensor(out.swapaxes(1, 2).reshape(B, T, heads * K))
