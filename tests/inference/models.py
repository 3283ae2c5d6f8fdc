"""Random requests, and what the plain version writes for them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from minipar.autograd import no_grad
from minipar.inference.requests import Sampling, TextRequest
from minipar.nn import GPT
from minipar.proof.serving import VOCABULARY, written_plainly


def full_logits(model: GPT, text: list[int]) -> np.ndarray:
    """[T, V], without a cache."""
    with no_grad():
        logits: np.ndarray = model(np.array([text])).data[0]
    return logits


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
    return [
        [written_plainly(model, request, sample)[0] for sample in range(request.samples)]
        for request in requests
    ]


def first(tokens: Any, count: int) -> list[int]:
    return list(itertools.islice(tokens, count))
