"""The server writes what the engine writes, and frees what a client leaves behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from minipar.inference.completion import complete
from minipar.inference.generate import generate
from minipar.inference.requests import Sampling, TextRequest
from minipar.proof.serving import opinionated
from tests.inference.models import first
from tests.serving.running import LETTERS, LIMIT, Running, one_letter_engine, post, running, tiny_engine


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running() as one:
        yield one


def expect(condition: Callable[[], bool]) -> None:
    """The condition must hold soon."""
    ends = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_a_completion_has_the_tokens_of_generate(server: Running) -> None:
    for seed, temperature in ((3, 0.0), (3, 0.9), (8, 2.0)):
        answer = server.complete(prompt="abc", max_tokens=40, temperature=temperature, seed=seed).json
        tokens = first(generate(opinionated(24), [0, 1, 2], temperature=temperature, seed=seed), 40)
        assert answer["choices"] == [{"index": 0, "text": LETTERS.decode(tokens), "logprobs": None,
                                      "finish_reason": "length"}]
        assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 40, "total_tokens": 43}


def test_all_options_reach_the_engine(server: Running) -> None:
    options: dict[str, Any] = dict(
        temperature=0.9, top_k=7, top_p=0.9, min_p=0.01, repetition_penalty=1.2, seed=5
    )
    stop = ["ab", "k"]
    answer = server.complete(
        prompt=[1, 2], max_tokens=30, n=3, stop=stop, logprobs=2, model="tiny", user="me", **options
    ).json
    request = TextRequest([1, 2], 30, Sampling(**options), 3, stop, 2)
    (samples,) = complete(tiny_engine(), [request])
    assert [one["text"] for one in answer["choices"]] == [one.text for one in samples]
    assert [one["finish_reason"] for one in answer["choices"]] == [one.finished for one in samples]
    for one, sample in zip(answer["choices"], samples, strict=True):
        assert one["logprobs"]["token_logprobs"] == pytest.approx(sample.logprobs, rel=1e-9)
        assert "".join(one["logprobs"]["tokens"]) == LETTERS.decode(sample.tokens)
        assert all(len(likely) == 2 for likely in one["logprobs"]["top_logprobs"])


def test_without_a_seed_a_fresh_one_is_chosen_and_shown(server: Running) -> None:
    answers = [server.complete(prompt="abc", max_tokens=20, temperature=2.0).json for _ in range(2)]
    assert answers[0]["seed"] != answers[1]["seed"]
    for answer in answers:
        again = server.complete(prompt="abc", max_tokens=20, temperature=2.0, seed=answer["seed"]).json
        assert again["choices"] == answer["choices"]


def test_pieces_of_a_stream_join_to_the_whole(server: Running) -> None:
    fields: dict[str, Any] = dict(prompt="abc", max_tokens=30, seed=4, n=2, logprobs=1, stop=["cde", "fa"])
    whole = server.complete(**fields).json["choices"]
    events = server.complete(**fields, stream=True).events
    for choice in whole:
        parts = [one for event in events for one in event["choices"] if one["index"] == choice["index"]]
        assert "".join(part["text"] for part in parts) == choice["text"]
        assert [part["logprobs"]["tokens"][0] for part in parts] == choice["logprobs"]["tokens"]
        assert [part["finish_reason"] for part in parts] == [None] * (len(parts) - 1) + [
            choice["finish_reason"]
        ]


def test_the_other_pages(server: Running) -> None:
    assert server.request("GET", "/health").json == {"status": "ok"}
    assert server.request("GET", "/v1/models?x=1").json["data"][0]["id"] == "tiny"
    before = server.metric("tokens_total"), server.metric("request_seconds_count")
    server.complete(prompt="abc", max_tokens=7)
    assert (
        server.metric("tokens_total") - before[0] == 7
        and server.metric("request_seconds_count") - before[1] == 1
    )
    page = server.request("GET", "/metrics")
    assert page.kind == "text/plain" and b'\nminipar_requests_total{status="200"} ' in page.body


def test_thirty_clients_at_once(server: Running) -> None:
    def ask(number: int) -> str:
        fields: dict[str, Any] = dict(
            prompt="abcdefghijk"[number % 9 :], max_tokens=15, seed=number, temperature=1.5
        )
        if number % 2:
            return "".join(
                event["choices"][0]["text"] for event in server.complete(**fields, stream=True).events
            )
        return str(server.complete(**fields).json["choices"][0]["text"])

    requests = [
        TextRequest(LETTERS.encode("abcdefghijk"[number % 9 :]).tolist(), 15, Sampling(1.5, seed=number))
        for number in range(30)
    ]
    with ThreadPoolExecutor(30) as clients:
        texts = list(clients.map(ask, range(30)))
    assert texts == [samples[0].text for samples in complete(tiny_engine(), requests)]


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_frees_its_request(server: Running, stream: bool) -> None:
    gone = server.metric("disconnects_total")
    with server.connect(post(prompt="abc", max_tokens=4096, stream=stream)) as client:
        if stream:
            assert client.recv(10)
        expect(lambda: server.pending == 1)
    expect(lambda: server.pending == 0 and server.engine.memory.pool.in_use == 0)
    expect(lambda: server.metric("disconnects_total") == gone + 1)
    assert server.complete(prompt="abc", max_tokens=5).status == 200


def test_a_slow_reader_does_not_hold_up_others() -> None:
    with running(one_letter_engine(), tokens=100_000, write_seconds=0.5) as server:
        slow = [server.connect(post(prompt="a", max_tokens=100_000, stream=True, logprobs=11), SO_RCVBUF=4096)
                for _ in range(4)]
        for number in range(5):
            assert server.complete(prompt="abc", max_tokens=20, seed=number).status == 200
        expect(lambda: server.metric("slow_readers_total") == 4)
        expect(lambda: server.pending == 0 and server.engine.memory.pool.in_use == 0)
        for client in slow:
            client.close()
