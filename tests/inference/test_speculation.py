"""Speculative decoding does not change the distribution of the tokens: every case of small vocabularies is
enumerated, with exact fractions.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest

from minipar.errors import ConfigError
from minipar.inference.completion import complete
from minipar.inference.drafts import ModelDraft, NgramDraft
from minipar.inference.engine import Engine
from minipar.inference.options import EngineOptions
from minipar.inference.requests import Sampling, TextRequest
from minipar.inference.speculation import DraftTokens, accept, next_token
from minipar.proof.serving import opinionated
from tests.inference.fuzz import mix
from tests.inference.models import random_requests, written_alone
from tests.refusals import refused

POINTS = 60                                     # all limits of p and q in sixths are multiples of 1 / 60
LAWS = [(a, b, 6 - a - b) for a in range(7) for b in range(7 - a)]   # in sixths, for 3 tokens


class Scripted:
    """A generator that returns these numbers."""

    def __init__(self, *numbers: float):
        self.numbers = list(numbers)

    def random(self) -> float:
        return self.numbers.pop(0)


def middle(point: int) -> float:
    return (point + 0.5) / POINTS


@pytest.mark.parametrize("p_sixths", LAWS)
def test_the_accepted_law_is_that_of_the_model(p_sixths: tuple[int, ...]) -> None:
    """All guesses and all random numbers on a grid that no limit crosses: the frequencies are exact."""
    p = np.array(p_sixths) / 6
    for q_sixths in LAWS:
        q, law = np.array(q_sixths) / 6, Counter[int]()
        for guess in range(3):
            tried = [accept(p, q, guess, Scripted(middle(u), 0.5)) for u in range(POINTS)]  # type: ignore[arg-type]
            accepted = [accepted for _, accepted in tried].count(True)
            law[guess] += Fraction(q_sixths[guess] * accepted, 6 * POINTS)      # type: ignore[assignment]
            if q_sixths[guess] and accepted < POINTS:                # the largest u is rejected
                share = Fraction(q_sixths[guess] * (POINTS - accepted), 6 * POINTS * POINTS)
                for v in range(POINTS):
                    other, _ = accept(p, q, guess, Scripted(middle(POINTS - 1), middle(v)))  # type: ignore[arg-type]
                    law[other] += share                              # type: ignore[assignment]
        assert [law[token] for token in range(3)] == [Fraction(n, 6) for n in p_sixths], q_sixths


def test_the_law_of_two_tokens_with_a_draft_of_two() -> None:
    """The token after an accepted guess is drawn with the next guess, that after a rejected one without."""
    laws = {(): (1, 2, 3), (0,): (4, 1, 1), (1,): (0, 3, 3), (2,): (2, 2, 2)}  # in sixths
    logits = {text: np.log(np.maximum(law, 1e-300)) for text, law in laws.items()}
    q, law = np.array([3, 2, 1]) / 6, Counter[Any]()
    for guesses in product(range(3), repeat=2):
        draft = DraftTokens(list(guesses), [q, q])
        for start, share in outcomes(logits[()], [], draft, 0).items():
            token, accepted = start
            after = outcomes(logits[token,], [token], draft if accepted else None, 1)
            for (second, _), part in after.items():
                law[token, second] += share * part * int(6 * q[guesses[0]]) * int(6 * q[guesses[1]]) / 36  # type: ignore[assignment]
    for token, second in product(range(3), repeat=2):
        assert law[token, second] == Fraction(laws[()][token] * laws[token,][second], 36)


def outcomes(logits: np.ndarray, text: list[int], draft: DraftTokens | None,
             number: int) -> dict[tuple[int, bool], Fraction]:
    """The result of `next_token` -> its probability, over all points of the grid."""
    found = Counter[tuple[int, bool]]()
    for u in range(POINTS):
        for v in range(POINTS) if u in (0, POINTS - 1) else (0,):
            rng: Any = Scripted(middle(u), middle(v))
            token, accepted = next_token(logits, Sampling(), text, rng, draft, number)
            second = len(rng.numbers) == 0                           # a rejected guess draws again
            if second and u == POINTS - 1:                           # the same v for every rejected u
                rejected = POINTS - sum(weight for (_, taken), weight in found.items() if taken)
                found[token, accepted] += Fraction(rejected, POINTS)  # type: ignore[assignment]
            elif not second and v == 0:
                found[token, accepted] += 1
    return {key: Fraction(weight, POINTS) for key, weight in found.items()}


def test_a_rejected_guess_of_equal_laws_up_to_rounding() -> None:
    p = np.array([0.5, 0.5])
    q = p + np.array([2e-16, 0])
    token, accepted = accept(p, q, 0, Scripted(1 - 1e-16, 0.9))       # type: ignore[arg-type]
    assert token in (0, 1) and accepted in (True, False)


@pytest.mark.parametrize("options", [dict(batch=8, rows=64),
                                     dict(batch=4, rows=24, block_size=3, blocks=14, preemption="swap")])
def test_an_ngram_changes_no_token_of_any_request(options: dict[str, Any]) -> None:
    model = opinionated(24)
    requests = random_requests(np.random.default_rng(7), 24, 6)
    engine = Engine(model, options=EngineOptions(**options), speculator=NgramDraft(3))
    results = complete(engine, requests)
    assert [[one.tokens for one in samples] for samples in results] == written_alone(model, requests)
    assert 0 < engine.accepted < engine.guessed and engine.memory.pool.in_use == 0


@pytest.mark.parametrize("draft_layers", [1, 2])
def test_a_draft_model_changes_no_greedy_token(draft_layers: int) -> None:
    model, draft = opinionated(24), opinionated(24, layers=draft_layers)
    options = EngineOptions(batch=4, rows=40, block_size=3, blocks=20)
    requests = [TextRequest([token] * token, 20, Sampling(temperature=0)) for token in range(1, 9)]
    engine = Engine(model, options=options, speculator=ModelDraft(draft, options))
    results = complete(engine, requests)
    assert [[one.tokens for one in samples] for samples in results] == written_alone(model, requests)
    assert engine.guessed > 0 and (engine.accepted == engine.guessed) == (
        draft_layers == 2
    )  # 2: the same model


def test_a_draft_equal_to_the_model_is_always_accepted() -> None:
    """Its laws are equal, so no guess is rejected; and five tokens come with one forward pass of the model.
    """
    model = opinionated(24)
    options = EngineOptions(batch=2, rows=16)
    engine = Engine(model, options=options, speculator=ModelDraft(model, options, count=4))
    engine.add(TextRequest([1, 2], 21, Sampling(seed=1)))
    sizes = [len(engine.step()) for _ in range(5)]
    assert sizes == [1, 5, 5, 5, 5] and engine.accepted == engine.guessed == 16


def test_sampled_tokens_with_a_draft_model_have_the_law_of_the_model() -> None:
    """The first two tokens of many requests, counted."""
    model, draft, draws = opinionated(8, vocabulary=3), opinionated(8, layers=1, vocabulary=3), 600
    options = EngineOptions(batch=50, rows=150)
    counts = {}
    for name, speculator in (("plain", None), ("draft", ModelDraft(draft, options, 2))):
        engine = Engine(model, options=options, speculator=speculator)
        results = complete(engine, [TextRequest([1, 2, 0], 3, Sampling(temperature=3.0, seed=seed))
                                    for seed in range(draws)])
        counts[name] = Counter(tuple(one.tokens[1:]) for (one,) in results)
    off = sum(abs(counts["plain"][key] - counts["draft"][key]) for key in product(range(3), repeat=2)) / draws
    assert off < 0.2                                                 # two draws of one law: .13 on average


def test_samples_start_without_the_blocks_of_a_draft() -> None:
    """Seed 2188 of the fuzzer: a prompt whose last token alone was computed again had a draft, too."""
    assert mix(2188) == ""


def test_an_ngram_repeats_what_followed() -> None:
    draft = NgramDraft(3, longest=2)
    assert draft._continuation([5, 7, 1, 2, 5, 7], 3) == [1, 2, 5]
    assert draft._continuation([1, 2, 3], 3) == [] and draft._continuation([4], 3) == []


@pytest.mark.parametrize("make_engine, item", [
    (lambda: NgramDraft(0), "count"), (lambda: ModelDraft(opinionated(8), EngineOptions(), count=0), "count"),
    (lambda: Engine(opinionated(8), options=EngineOptions(batch=8, rows=8), speculator=NgramDraft(1)),
     "rows"),
    (lambda: Engine(opinionated(24), speculator=ModelDraft(opinionated(8), EngineOptions())), "draft"),
    (lambda: Engine(opinionated(8), speculator=ModelDraft(opinionated(8, vocabulary=7), EngineOptions())),
     "draft")])
def test_drafts_that_are_refused(make_engine: Any, item: str) -> None:
    with refused(ConfigError, item=item):
        make_engine()
