"""Models with opinions, random requests, and what the plain version writes for them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from minipar.autograd import no_grad
from minipar.config import ModelConfig
from minipar.inference.kv_cache import KVCache
from minipar.inference.requests import Sampling, TextRequest
from minipar.inference.sampling import choose
from minipar.inference.sequence import random_numbers
from minipar.nn import GPT, Module

VOCABULARY = 11


def with_opinions(model: Module) -> None:
    """At its first weights all tokens would be about equally likely."""
    for p in model.parameters():
        p.data *= 20 if p.ndim > 1 else 1


def make(context: int = 8, dtype: Any = np.float64, **sizes: Any) -> GPT:
    model = GPT(ModelConfig(**dict(vocabulary=VOCABULARY, context=context, layers=2, heads=2, width=8) | sizes),
                seed=4, dtype=dtype)
    with_opinions(model)
    return model


def full_logits(model: GPT, text: list[int]) -> np.ndarray:
    """[T, V], without a cache."""
    with no_grad():
        logits: np.ndarray = model(np.array([text])).data[0]
    return logits


def plain(model: GPT, request: TextRequest, sample: int = 0) -> tuple[list[int], list[np.ndarray]]:
    """The tokens of one sample, and the logits [V] from which each was chosen: one request, a contiguous cache,
    and where the context is full its newer half.
    """
    rng, context = random_numbers(request, sample), model.config.context
    text, tokens, all_logits = list(request.prompt), [], []
    cache, new = KVCache(model), list(request.prompt)
    for _ in range(request.max_tokens):
        logits = cache.logits(np.array([new]))[0]
        all_logits.append(logits)
        tokens.append(choose(logits, request.sampling, text, rng))
        text.append(tokens[-1])
        new = [tokens[-1]]
        if cache.length == context:
            text, cache = text[-max(context // 2, 1):], KVCache(model)
            new = text
    return tokens, all_logits


def random_sampling(rng: np.random.Generator, greedy: bool) -> Sampling:
    """Every option, each in about every second request; the seed is drawn, too."""
    seed = int(rng.integers(100))
    penalty = float(rng.choice([1.0, 1.3]))
    if greedy or rng.random() < 0.4:
        return Sampling(temperature=0, repetition_penalty=penalty, seed=seed)
    return Sampling(temperature=float(rng.choice([0.3, 0.9, 2.0])), top_k=int(rng.choice([0, 3, 50])),
                    top_p=float(rng.choice([1.0, 0.8])), min_p=float(rng.choice([0.0, 0.05])),
                    repetition_penalty=penalty, seed=seed)


def random_requests(rng: np.random.Generator, context: int, count: int, samples: int = 3,
                    greedy: bool = False) -> list[TextRequest]:
    """Prompts of all lengths, many with equal beginnings."""
    beginning = rng.integers(VOCABULARY, size=context).tolist()
    requests = []
    for _ in range(count):
        length = int(rng.integers(1, context + 1))
        same = int(rng.integers(length + 1)) if rng.random() < 0.6 else 0
        prompt = beginning[:same] + rng.integers(VOCABULARY, size=length - same).tolist()
        sampling = random_sampling(rng, greedy)
        several = sampling.temperature > 0 and rng.random() < 0.3
        requests.append(TextRequest(prompt, int(rng.integers(1, 2 * context)), sampling,
                                    samples=int(rng.integers(1, samples + 1)) if several else 1))
    return requests


def written_alone(model: GPT, requests: list[TextRequest]) -> list[list[list[int]]]:
    """request -> sample -> tokens, by the plain version."""
    return [[plain(model, request, sample)[0] for sample in range(request.samples)] for request in requests]


def first(tokens: Any, count: int) -> list[int]:
    return list(itertools.islice(tokens, count))
