"""The engine writes what one request alone writes, whatever shares its batch, its blocks and its chunks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from minipar.data.tokenizer import ByteTokenizer, CharTokenizer
from minipar.errors import ConfigError, RangeError
from minipar.inference.completion import complete
from minipar.inference.engine import Engine
from minipar.inference.generate import generate
from minipar.inference.options import EngineOptions
from minipar.inference.requests import Sampling, TextRequest
from minipar.inference.sampling import log_probabilities
from minipar.proof.serving import RecordingEngine, opinionated, require_sound_memory
from tests.inference.fuzz import mix
from tests.inference.models import first, full_logits, random_requests, written_alone
from tests.refusals import refused

GREEDY = Sampling(temperature=0)


def test_random_mixes_of_requests() -> None:
    """A sample of `python -m tests.inference.fuzz`. Two ranks serve the mixes 11 (tp) and 24 (pp)."""
    assert {seed: text for seed in (0, 1, 2, 11, 24) if (text := mix(seed))} == {}


def test_logits_are_those_of_the_full_text() -> None:
    model = opinionated(16)
    engine = RecordingEngine(model, options=EngineOptions(batch=3, rows=5, block_size=3, blocks=20))
    prompts = [[1, 2, 3], [4] * 9, list(range(11))]
    results = complete(engine, [TextRequest(prompt, 4, GREEDY) for prompt in prompts])
    for number, (prompt, (result,)) in enumerate(zip(prompts, results, strict=True)):
        full = full_logits(model, prompt + result.tokens)[len(prompt) - 1 : -1]
        np.testing.assert_allclose(engine.logits[number, 0], full, rtol=1e-12, atol=1e-12)


def test_tokens_are_those_of_generate() -> None:
    model = opinionated(12)
    for seed, temperature in ((3, 0.0), (3, 0.9), (8, 2.0)):
        ((result,),) = complete(Engine(model), [TextRequest([1, 2], 30, Sampling(temperature, seed=seed))])
        assert result.tokens == first(generate(model, [1, 2], temperature=temperature, seed=seed), 30)


@pytest.mark.parametrize("options", [
    dict(batch=5, rows=8, block_size=3, blocks=9),
    dict(batch=5, rows=8, block_size=3, blocks=9, preemption="swap"), dict(batch=1, rows=1),
    dict(batch=8, rows=300, block_size=1, blocks=60), dict(share_prefixes=False)])
def test_any_engine_writes_the_same(options: dict[str, Any]) -> None:
    model, rng = opinionated(24), np.random.default_rng(5)
    requests = random_requests(rng, 24, 6, samples=min(3, options.get("batch", 3)))
    engine = Engine(model, options=EngineOptions(**options))
    results = complete(engine, requests)
    assert [[one.tokens for one in samples] for samples in results] == written_alone(model, requests)
    assert engine.memory.pool.in_use == 0


def test_every_mechanism_is_used() -> None:
    """Else the tests above would prove less than they say."""
    model = opinionated(24)
    beginning = [1, 2, 3, 4, 5, 6, 7]
    for preemption in ("recompute", "swap"):
        engine = Engine(model, options=EngineOptions(batch=6, rows=12, block_size=3, blocks=10,
                                                     preemption=preemption))
        complete(engine, [TextRequest([*beginning, token], 14, Sampling(seed=token), samples=2)
                          for token in range(8)])
        memory = engine.memory
        assert min(memory.copies, memory.preemptions, memory.shared_tokens, memory.pool.evictions) > 0


def test_samples_share_the_prompt_and_copy_on_write() -> None:
    engine = Engine(opinionated(32), options=EngineOptions(batch=4, block_size=4, blocks=32))
    engine.add(TextRequest(list(range(10)), 8, Sampling(seed=1), samples=4))
    engine.step()                                                    # the prompt, and the first token of each
    assert engine.memory.pool.in_use == 3                            # 10 tokens, for all four
    engine.step()
    assert (
        engine.memory.pool.in_use == 2 + 4 and engine.memory.copies == 3
    )  # the last writer keeps the old one
    require_sound_memory(engine)


def test_a_long_prompt_is_computed_in_chunks_while_others_write() -> None:
    engine = Engine(opinionated(32), options=EngineOptions(batch=4, rows=6))
    engine.add(TextRequest([1], 20, GREEDY))
    engine.step()
    engine.add(TextRequest([2] * 15, 5, GREEDY))
    assert [[new.request for new in engine.step()] for _ in range(4)] == [[0], [0], [0, 1], [0, 1]]


def test_a_finished_sequence_leaves_its_room_at_once() -> None:
    engine = Engine(opinionated(8), options=EngineOptions(batch=2, rows=16))
    for length in (1, 4, 2):
        engine.add(TextRequest([length], length, GREEDY))
    assert [[new.request for new in engine.step()] for _ in range(4)] == [[0, 1], [1, 2], [1, 2], [1]]
    assert engine.step() == [] and not engine.busy


def test_the_last_token_says_how_it_ended() -> None:
    ((result,),) = complete(Engine(opinionated(8)), [TextRequest([1], 3, GREEDY)])
    assert result.finished == "length" and len(result.tokens) == 3


def test_a_stop_text_ends_a_request() -> None:
    model = opinionated(24, vocabulary=5)
    tokenizer = CharTokenizer("abcde")
    request = TextRequest([0], 20, Sampling(seed=2))
    ((whole,),) = complete(Engine(model, tokenizer), [request])
    assert whole.text == tokenizer.decode(whole.tokens)
    stop = whole.text[7:10]
    at = whole.text.find(stop)
    ((result,),) = complete(Engine(model, tokenizer), [TextRequest([0], 20, Sampling(seed=2), stop=[stop])])
    assert (result.text, result.finished) == (whole.text[:at], "stop")
    assert result.tokens == whole.tokens[: at + len(stop)]


def test_log_probabilities_are_those_of_the_model() -> None:
    model = opinionated(8)
    engine = Engine(model)
    engine.add(TextRequest([1, 2], 1, Sampling(temperature=0.5, top_k=2, repetition_penalty=2.0), logprobs=3))
    (new,) = engine.step()
    expected = log_probabilities(full_logits(model, [1, 2])[-1])
    assert new.logprob == pytest.approx(expected[new.token], abs=1e-12)
    assert [token for token, _ in new.likely] == np.argsort(-expected)[:3].tolist()


def test_a_cancelled_request_frees_its_blocks() -> None:
    engine = Engine(opinionated(8), options=EngineOptions(batch=2))
    numbers = [engine.add(TextRequest([token], 5, GREEDY)) for token in range(3)]
    engine.step()
    for number in (*numbers, 77):
        engine.cancel(number)
    assert not engine.busy and engine.memory.pool.in_use == 0


@pytest.mark.parametrize("request_, item", [
    (TextRequest([1] * 9), "prompt"), (TextRequest([11]), "prompt"), (TextRequest([-1]), "prompt"),
    (TextRequest([1], stop=["x"]), "stop"), (TextRequest([1], samples=5), "samples"),
    (TextRequest([1], max_tokens=8), "blocks")])
def test_requests_that_this_engine_cannot_serve(request_: TextRequest, item: str) -> None:
    engine = Engine(opinionated(8), options=EngineOptions(batch=4, block_size=2, blocks=3))
    with refused(ConfigError, item=item):
        engine.add(request_)
    assert not engine.busy


@pytest.mark.parametrize("options, item", [
    (dict(batch=0), "batch"), (dict(rows=0), "rows"), (dict(blocks=-1), "blocks"),
    (dict(block_size=0), "block_size"), (dict(preemption="drop"), "preemption"),
    (dict(batch=8, rows=7), "rows"), (dict(batch="8"), "batch")])
def test_options_that_are_refused(options: dict[str, Any], item: str) -> None:
    with refused(ConfigError, item=item):
        EngineOptions(**options)


def test_a_tokenizer_of_another_vocabulary_is_refused() -> None:
    with refused(ConfigError, "256", "11", item="tokenizer"):
        Engine(opinionated(8), ByteTokenizer())


def test_broken_weights_are_an_error_not_a_token() -> None:
    model = opinionated(8)
    model.norm.weight.data[0] = np.nan
    engine = Engine(model)
    engine.add(TextRequest([1]))
    with refused(RangeError, "weights"):
        engine.step()


@pytest.mark.parametrize("name", ["batch", "rows", "blocks", "block_size"])
@pytest.mark.parametrize("value", [-1, (1 << 20) + 1, 1 << 63, 10**5000], ids=lambda value: str(value.bit_length()))
def test_an_option_that_no_memory_holds_is_refused_by_name(name: str, value: int) -> None:
    with pytest.raises(ConfigError, match=f"{name} is .*choose a number") as caught:
        replace(EngineOptions(), **{name: value})                   # type: ignore[arg-type]
    assert len(str(caught.value)) < 200
