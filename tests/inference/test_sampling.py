"""Every option of sampling does what its definition says, and contradictions are refused."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from minipar.errors import ConfigError
from minipar.inference.requests import Sampling, TextRequest
from minipar.inference.sampling import choose, log_probabilities, most_likely, weights
from minipar.rng import stream
from tests.refusals import refused


def softmax(values: np.ndarray) -> np.ndarray:
    e = np.exp(values - values.max())
    return e / e.sum()


def by_definition(logits: np.ndarray, s: Sampling, text: list[int]) -> np.ndarray:
    """The probabilities, token by token in plain Python: each filter removes tokens, and the rest is
    normalised.
    """
    logits = np.array(
        [
            z if token not in text else z / s.repetition_penalty if z > 0 else z * s.repetition_penalty
            for token, z in enumerate(logits)
        ]
    )
    p = softmax(logits / s.temperature)
    order = sorted(range(len(p)), key=lambda token: (-p[token], token))
    kept = set(order[: s.top_k or len(p)])
    p = np.array([p[token] if token in kept else 0 for token in range(len(p))])
    p /= p.sum()
    total, nucleus = 0.0, set()
    for token in order:
        if total < s.top_p:
            nucleus.add(token)
        total += p[token]
    p = np.array([p[token] if token in nucleus else 0 for token in range(len(p))])
    p = np.where(p < s.min_p * p.max(), 0, p)
    return p / p.sum()


@pytest.mark.parametrize("seed", range(60))
def test_the_filters_are_their_definitions(seed: int) -> None:
    rng = stream(seed, "filters")
    logits = rng.standard_normal(9) * 2
    sampling = Sampling(temperature=float(rng.choice([0.5, 1, 2])), top_k=int(rng.integers(0, 12)),
                        top_p=float(rng.choice([0.3, 0.7, 0.95, 1])), min_p=float(rng.choice([0, 0.1, 0.5])),
                        repetition_penalty=float(rng.choice([0.7, 1, 1.5])))
    text, before = rng.integers(9, size=4).tolist(), logits.copy()
    w = weights(logits, sampling, text)
    np.testing.assert_allclose(w / w.sum(), by_definition(logits, sampling, text), atol=1e-14)
    assert np.array_equal(logits, before)                            # the caller's logits stay as they are


EXTREMES = {
    "repetition_penalty": [5e-324, 1e-308, 1e-3, 1.0, 1e300, 1.7e308],
    "temperature": [0.0, 5e-324, 1e-3, 1e308, np.inf],
    "top_p": [5e-324, 0.5, 1.0],
    "min_p": [0.0, 5e-324, 1.0],
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("logits", [
    [3.0, -2.0, 0.0, 1e3, -1e3, -np.inf], [-1.0, -2.0, -5.0], [1e38, -1e38, 7.0], [5e-324, 0.0, -5e-324],
    [-np.inf, 2.0, -np.inf]])
def test_extreme_options_choose_a_possible_token(logits: list[float]) -> None:
    """A server accepts these: a token outside the vocabulary would end all requests."""
    rng, array = stream(1, "extremes"), np.array(logits)
    for values in itertools.product(*EXTREMES.values()):
        named: dict[str, Any] = dict(zip(EXTREMES, values, strict=True))
        if named["temperature"] == 0:
            named.update(top_p=1.0, min_p=0.0)
        sampling = Sampling(**named)
        for text in ([0], [1, 2], list(range(len(logits)))):
            chances = weights(array, sampling, text)
            assert chances.max() == 1 and chances.min() >= 0, (named, text)
            assert array[choose(array, sampling, text, rng)] > -np.inf, (named, text)


@pytest.mark.parametrize("spread", [0.1, 1.0, 5.0, 20.0])
def test_top_p_of_a_large_vocabulary(spread: float) -> None:
    """However many tokens are sorted, the kept ones are the fewest that sum to p."""
    logits = np.round(stream(0, "large").standard_normal(6000) * spread, 1)     # many are equal
    for top_p in (0.1, 0.9, 0.999):
        p = softmax(logits)
        order = np.argsort(-p, kind="stable")
        count = int(np.searchsorted(np.cumsum(p[order]), top_p)) + 1
        kept = np.flatnonzero(weights(logits, Sampling(top_p=top_p), []))
        assert kept.tolist() == sorted(order[:count].tolist())


def test_greedy_takes_the_penalty_into_account() -> None:
    logits = np.array([1.0, 1.1, -5.0])
    greedy, penalised = Sampling(temperature=0), Sampling(temperature=0, repetition_penalty=2)
    rng = stream(0, "none")
    assert choose(logits, greedy, [1], rng) == 1 and choose(logits, penalised, [1], rng) == 0
    assert weights(logits, penalised, [1]).tolist() == [1, 0, 0]
    assert rng.random() == stream(0, "none").random()                # greedy draws nothing


def test_infinite_temperature_leaves_removed_tokens_out() -> None:
    logits = np.array([0.0, -np.inf, 2.0, 1.0])
    assert weights(logits, Sampling(temperature=np.inf, top_k=2), []).tolist() == [0, 0, 1, 1]


def test_log_probabilities_and_the_most_likely() -> None:
    logits = np.array([0.5, 2.0, 2.0, -1.0])
    logprobs = log_probabilities(logits)
    np.testing.assert_allclose(logprobs, np.log(softmax(logits)), atol=1e-14)
    assert [token for token, _ in most_likely(logprobs, 3)] == [1, 2, 0]
    assert most_likely(logprobs, 0) == () and len(most_likely(logprobs, 9)) == 4


@pytest.mark.parametrize("options, item", [
    (dict(temperature=-1.0), "temperature"), (dict(temperature=float("nan")), "temperature"),
    (dict(temperature="hot"), "temperature"), (dict(temperature=True), "temperature"),
    (dict(top_k=-1), "top_k"), (dict(top_k=1.5), "top_k"), (dict(top_p=0.0), "top_p"),
    (dict(top_p=1.1), "top_p"), (dict(min_p=-0.1), "min_p"), (dict(min_p=1.5), "min_p"),
    (dict(repetition_penalty=0.0), "repetition_penalty"),
    (dict(repetition_penalty=float("inf")), "repetition_penalty"), (dict(seed=-1), "seed"),
    (dict(temperature=0, top_k=2), "top_k"), (dict(temperature=0, top_p=0.5), "top_p"),
    (dict(temperature=0, min_p=0.5), "min_p")])
def test_sampling_options_that_are_refused(options: dict[str, Any], item: str) -> None:
    with refused(ConfigError, item=item):
        Sampling(**options)


@pytest.mark.parametrize("options, item", [
    (dict(prompt=[]), "prompt"), (dict(prompt="text"), "prompt"), (dict(prompt=[1.5]), "prompt"),
    (dict(prompt=[True]), "prompt"), (dict(max_tokens=0), "max_tokens"), (dict(max_tokens="3"), "max_tokens"),
    (dict(samples=0), "samples"), (dict(samples=1000), "samples"), (dict(stop="END"), "stop"),
    (dict(stop=[""]), "stop"), (dict(stop=["x"] * 99), "stop"), (dict(stop=[3]), "stop"),
    (dict(logprobs=-1), "logprobs"), (dict(logprobs=1000), "logprobs"), (dict(sampling=None), "sampling"),
    (dict(samples=2, sampling=Sampling(temperature=0)), "samples")])
def test_requests_that_are_refused(options: dict[str, Any], item: str) -> None:
    with refused(ConfigError, item=item):
        TextRequest(**{"prompt": [1], **options})
