"""Generates text with a model, one token after the other.

This is the plain version, for one request with a contiguous KV cache. engine.py computes many requests
together, and writes the same tokens.
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
    """The interface that generation needs: a model with a cache of the text so far. B texts, T new tokens, V
    vocabulary.
    """

    length: int                                                     # number of tokens so far

    def logits(self, tokens: np.ndarray) -> np.ndarray:
        """Return the logits [B, V] of the next token after the tokens [B, T]."""


def generate(model: GPT | Stages, prompt: Sequence[int], *, temperature: float = 1.0, top_k: int = 0,
             seed: int = 0) -> Iterator[int]:
    """Return an endless iterator of tokens that continue the prompt. The prompt must have at least one token.
    If it is longer than the model's context, only its end is used.

    If the model is distributed over ranks, all ranks must take the same number of tokens. They get equal
    tokens.

    temperature: divides the logits. With 0, the most likely token is always chosen. top_k: only this number
    of most likely tokens can be chosen. 0 allows all. When the context is full, the older half of the text is
    dropped, and the model reads the newer half again. Raises ConfigError for invalid options and for an empty
    prompt.

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
