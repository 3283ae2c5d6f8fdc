"""Text from a model, one token after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from minipar.errors import ConfigError, RangeError
from minipar.inference.kv_cache import KVCache
from minipar.inference.sharded_cache import StagesCache
from minipar.nn import GPT
from minipar.parallel.stages import Stages
from minipar.rng import stream


class Cache(Protocol):
    """What generation asks of a model that remembers the text so far."""

    length: int                                                     # tokens so far

    def logits(self, tokens: np.ndarray) -> np.ndarray:
        """Logits [B, V] of what follows the tokens [B, T]."""


def generate(model: GPT | Stages, prompt: Sequence[int], *, temperature: float = 1.0, top_k: int = 0,
             seed: int = 0) -> Iterator[int]:
    """Tokens without end that continue the prompt (at least one token; its last `context` tokens count).

    Of a model that is spread over ranks all ranks ask for the same number of tokens, and get the same ones.

    temperature: divides the logits; 0 takes the likeliest token always. top_k: only the k likeliest tokens
    can come; 0 for all. Where the context is full, the newer half of it is read again and generation goes on
    from there. Raises ConfigError for options that mean nothing and for an empty prompt.

    >>> import itertools, minipar as mp
    >>> model = mp.GPT(mp.ModelConfig(vocabulary=7, context=4, layers=1, heads=1, width=4))
    >>> len(list(itertools.islice(mp.generate(model, [1, 2]), 5)))
    5
    """
    if not temperature >= 0 or top_k < 0:  # NaN is no temperature either
        raise ConfigError(
            f"temperature {temperature} and top-k {top_k} must be numbers that are not negative"
        )
    if not len(prompt):
        raise ConfigError("an empty prompt gives the model nothing to continue; give at least one character")
    context, rng = model.config.context, stream(seed, "generate")
    text, cache = list(prompt)[-context:], _new_cache(model)
    new = text
    while True:
        logits = cache.logits(np.array([new]))[0]                   # [V]
        token = _choose(logits.astype(np.float64), temperature, top_k, rng)
        yield token
        text.append(token)
        new = [token]
        if cache.length == context:
            text, cache = text[-max(context // 2, 1):], _new_cache(model)
            new = text


def _new_cache(model: GPT | Stages) -> Cache:
    return KVCache(model) if isinstance(model, GPT) else StagesCache(model)


def _choose(logits: np.ndarray, temperature: float, top_k: int, rng: np.random.Generator) -> int:
    """A token by softmax(logits / temperature) over the `top_k` largest logits.

    Changes logits [V], float64.
    """
    if not np.isfinite(logits.max()):
        raise RangeError(f"generate: the largest logit is {logits.max()}, so no token can be chosen; the "
                         "weights are broken, or a "
                         "mask covers every token")
    if temperature == 0:
        return int(np.argmax(logits))
    if top_k:
        # of equals the first stays, as with argmax
        logits[np.argsort(-logits, kind="stable")[top_k:]] = -np.inf
    with np.errstate(over="ignore"):  # next to zero, a temperature makes -inf of differences
        weights = np.exp((logits - logits.max()) / temperature)
    sums = np.cumsum(weights)
    return int(np.searchsorted(sums, rng.random() * sums[-1], side="right"))
