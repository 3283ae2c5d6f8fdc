"""Text from a model, one token after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from minipar.errors import ConfigError
from minipar.nn import GPT
from minipar.nn.cache import KVCache
from minipar.rng import stream


def generate(model: GPT, prompt: Sequence[int], *, temperature: float = 1.0, top_k: int = 0, seed: int = 0) -> Iterator[int]:
    """Tokens without end that continue the prompt (at least one token; its last `context` tokens count).

    temperature: divides the logits; 0 takes the likeliest token always. top_k: only the k likeliest tokens can come; 0 for
    all. Where the context is full, the newer half of it is read again and generation goes on from there. Raises ConfigError
    for options that mean nothing and for an empty prompt.
    """
    if temperature < 0 or top_k < 0:
        raise ConfigError(f"temperature {temperature} and top-k {top_k} must not be negative")
    if not len(prompt):
        raise ConfigError("an empty prompt gives the model nothing to continue; give at least one character")
    context, rng = model.config.context, stream(seed, "generate")
    text, cache = list(prompt)[-context:], KVCache(model)
    new = text
    while True:
        logits = cache.logits(np.array([new]))[0]                   # [V]
        token = _choose(logits.astype(np.float64), temperature, top_k, rng)
        yield token
        text.append(token)
        new = [token]
        if cache.length == context:
            text, cache = text[-max(context // 2, 1):], KVCache(model)
            new = text


def _choose(logits: np.ndarray, temperature: float, top_k: int, rng: np.random.Generator) -> int:
    if temperature == 0:
        return int(np.argmax(logits))
    if 0 < top_k < len(logits):
        logits = np.where(logits >= np.sort(logits)[-top_k], logits, -np.inf)
    weights = np.exp((logits - logits.max()) / temperature)
    return int(np.searchsorted(np.cumsum(weights), rng.random() * weights.sum(), side="right"))
