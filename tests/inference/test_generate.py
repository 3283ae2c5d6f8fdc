"""Generation: the cache changes nothing but the speed, and tokens come with the probabilities that they
should have.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from minipar.autograd import no_grad
from minipar.config import ModelConfig
from minipar.errors import ConfigError, ShapeError
from minipar.inference.generate import generate
from minipar.inference.kv_cache import KVCache
from minipar.inference.requests import Sampling
from minipar.inference.sampling import choose
from minipar.nn import GPT
from minipar.rng import stream
from tests.refusals import refused

CONTEXT = 8


def make(context: int = CONTEXT) -> GPT:
    """A model with opinions: at its first weights all tokens would be about equally likely."""
    model = GPT(ModelConfig(vocabulary=11, context=context, layers=2, heads=2, width=8), seed=4,
                dtype=np.float64)
    for p in model.parameters():
        p.data *= 20 if p.ndim > 1 else 1
    return model


def logits(model: GPT, text: list[int]) -> np.ndarray:
    with no_grad():
        return model(np.array([text])).data[0, -1]


def recomputed(model: GPT, prompt: list[int], count: int, temperature: float, seed: int) -> list[int]:
    """What `generate` must give, from the full text for every token; where the context is full, its newer
    half stays.
    """
    context, rng, text, out = (
        model.config.context,
        stream(seed, "generate"),
        prompt[-model.config.context :],
        [],
    )
    for _ in range(count):
        out.append(choose(logits(model, text), Sampling(temperature=temperature), (), rng))
        text = [*text, out[-1]]
        if len(text) > context:
            text = text[-max(context // 2, 1):]
    return out


def generated(model: GPT, prompt: list[int], count: int, **options: Any) -> list[int]:
    return list(itertools.islice(generate(model, prompt, **options), count))


def test_cached_logits_are_those_of_the_full_text() -> None:
    """Fed in pieces of any sizes, for a batch, up to the last place of the context."""
    model, tokens = make(), stream(0, "tokens").integers(11, size=(3, CONTEXT))
    with no_grad():
        full = model(tokens).data                                    # [3, T, V]
    for sizes in ([8], [1] * 8, [3, 1, 4], [5, 2, 1]):
        cache, end = KVCache(model), 0
        for size in sizes:
            end += size
            np.testing.assert_allclose(cache.logits(tokens[:, end - size : end]), full[:, end - 1],
                                       rtol=1e-12, atol=1e-12)
    with refused(ShapeError, item="context"):
        cache.logits(tokens[:, :1])
    with refused(ShapeError, "cache holds 3", "the input has 1"):
        cache.logits(tokens[:1, :1])


@pytest.mark.parametrize("context", [1, 2, 7, 8])
@pytest.mark.parametrize("prompt", [[3], [1, 2, 3], list(range(8)), list(range(11))])
@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_tokens_are_those_of_the_full_text_across_the_contexts_end(context: int, prompt: list[int],
                                                                   temperature: float) -> None:
    model = make(context)
    cached = generated(model, prompt, 3 * context + 2, temperature=temperature, seed=5)
    assert cached == recomputed(model, prompt, 3 * context + 2, temperature, seed=5)


def test_the_comparison_sees_what_the_cache_could_get_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that forgets where it is: every token would stand at the first place."""
    forgetful = KVCache.logits

    def at_the_start(cache: KVCache, tokens: np.ndarray) -> np.ndarray:
        place, cache.length = cache.length, 0
        out = forgetful(cache, tokens)
        cache.length += place
        return out

    expected = recomputed(make(), [1, 2, 3], 26, 0.9, seed=5)
    monkeypatch.setattr(KVCache, "logits", at_the_start)
    assert generated(make(), [1, 2, 3], 26, temperature=0.9, seed=5) != expected


def test_greedy_is_top_1_at_any_temperature_and_seed() -> None:
    model = make()
    greedy = generated(model, [1], 30, temperature=0)
    assert len(set(greedy)) > 1
    assert generated(model, [1], 30, temperature=5, top_k=1, seed=3) == greedy
    assert generated(model, [1], 30, temperature=1e-6, seed=3) == greedy


def test_a_seed_gives_one_text() -> None:
    model = make()
    texts = [generated(model, [1], 30, temperature=2, seed=seed) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_only_the_end_of_a_long_prompt_counts() -> None:
    model = make()
    assert generated(model, [9, 9, 9, *range(8)], 20) == generated(model, list(range(8)), 20)


LOGITS = np.array([1.0, -0.5, 2.0, 0.0, 1.5])
DRAWS = 15_000


def chi_square(counts: np.ndarray, probabilities: np.ndarray) -> float:
    """Pearson's statistic, over tokens that can come."""
    expected = probabilities * counts.sum()
    possible = expected > 0
    assert not counts[~possible].any()
    return float(((counts - expected)[possible] ** 2 / expected[possible]).sum())


def softmax(values: np.ndarray) -> np.ndarray:
    weights = np.exp(values - values.max())
    return weights / weights.sum()


def frequencies(temperature: float, top_k: int) -> np.ndarray:
    rng = stream(0, "draws")
    drawn = [choose(LOGITS, Sampling(temperature=temperature, top_k=top_k), (), rng) for _ in range(DRAWS)]
    return np.bincount(drawn, minlength=len(LOGITS))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("top_k", [0, 3, 5, 99])
def test_tokens_come_as_often_as_softmax_says(temperature: float, top_k: int) -> None:
    kept = np.where(LOGITS >= 1, LOGITS, -np.inf) if top_k == 3 else LOGITS  # the three largest
    counts = frequencies(temperature, top_k)
    # 4 degrees of freedom: above with probability 0.001
    assert chi_square(counts, softmax(kept / temperature)) < 18.5
    assert chi_square(counts, softmax(kept / (1.5 * temperature))) > 18.5  # and it sees a small mistake


def test_of_equals_top_k_keeps_the_first() -> None:
    rng = stream(0, "draws")
    drawn = {choose(np.array([0.0, 1.0, 1.0, 1.0, 0.0]), Sampling(top_k=2), (), rng) for _ in range(200)}
    assert drawn == {1, 2}
    equal = np.array([0.0, 1.0, 1.0])
    assert choose(equal, Sampling(top_k=1), (), rng) == choose(equal, Sampling(temperature=0), (), rng) == 1


@pytest.mark.parametrize("temperature", [1e-320, 1e-8, 1e300, np.inf])
def test_extreme_temperatures(temperature: float) -> None:
    rng = stream(0, "draws")
    drawn = {choose(LOGITS, Sampling(temperature=temperature), (), rng) for _ in range(200)}
    assert drawn == ({2} if temperature < 1 else set(range(5)))


class AlmostOne:
    """A generator whose numbers are the largest below 1."""

    def random(self) -> float:
        return float(np.nextafter(1, 0))


def test_the_last_token_is_the_last_even_for_the_largest_random_number() -> None:
    for size in range(1, 400):
        values = stream(size, "logits").standard_normal(size)
        assert choose(values, Sampling(), (), AlmostOne()) == size - 1      # type: ignore[arg-type]


@pytest.mark.parametrize("options, said", [
    (dict(prompt=[]), "an empty prompt gives the model nothing to continue"),
    (dict(prompt=[1], temperature=-0.1),
     "temperature is -0.1; it must be a number that is not negative"),
    (dict(prompt=[1], temperature=float("nan")), "temperature is nan"),
    (dict(prompt=[1], top_k=-1), "top_k is -1"),
])
def test_options_that_mean_nothing(options: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        next(generate(make(), **options))
