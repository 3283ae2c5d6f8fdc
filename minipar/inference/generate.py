"""Generation of text by a model, one token after the other.

This is the plain version for one request with a contiguous cache. engine.py computes many requests together,
and writes the same tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from minipar.errors import ConfigError
from minipar.inference.kv_cache import KVCache
from minipar.inference.requests import Sampling
from minipar.inference.sampling import choose
from minipar.inference.sharded_cache import StagesCache
from minipar.nn import GPT
from minipar.parallel.stages import Stages
from minipar.rng import stream


class Cache(Protocol):
    """The interface that generation needs: a model with a cache of the text so far."""

    length: int                                                     # tokens so far

    def logits(self, tokens: np.ndarray) -> np.ndarray:
        """Return the logits [B, V] of the next token after the tokens [B, T]."""


def generate(model: GPT | Stages, prompt: Sequence[int], *, temperature: float = 1.0, top_k: int = 0,
             seed: int = 0) -> Iterator[int]:
    """Return an endless iterator of tokens that continue the prompt. The prompt has at least one token; only
    its last `context` tokens are used.

    If the model is distributed over ranks, all ranks must take the same number of tokens, and get equal ones.

    `temperature` divides the logits; 0 always chooses the most likely token. Only the `top_k` most likely
    tokens can be chosen; 0 allows all. When the context is full, the model reads its newer half again, and
    generation continues from there. Raises ConfigError for invalid options and for an empty prompt.

    >>> import itertools, minipar as mp
    >>> model = mp.GPT(mp.ModelConfig(vocabulary=7, context=4, layers=1, heads=1, width=4))
    >>> len(list(itertools.islice(mp.generate(model, [1, 2]), 5)))
    5
    """
    sampling = Sampling(temperature=temperature, top_k=top_k, seed=seed)
    if not len(prompt):
        raise ConfigError("an empty prompt gives the model nothing to continue; give at least one character")
    context, rng = model.config.context, stream(seed, "generate")
    text, cache = list(prompt)[-context:], _new_cache(model)
    new = text
    while True:
        logits = cache.logits(np.array([new]))[0]                   # [V]
        token = choose(logits, sampling, text, rng)
        yield token
        text.append(token)
        new = [token]
        if cache.length == context:
            text, cache = text[-max(context // 2, 1):], _new_cache(model)
            new = text


def _new_cache(model: GPT | Stages) -> Cache:
    return KVCache(model) if isinstance(model, GPT) else StagesCache(model)
