"""Every invalid request gets a status and a JSON error with a name and one line, and the server goes on."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from minipar.errors import ConfigError
from minipar.serving.limits import ServerLimits
from tests.refusals import refused
from tests.serving.fuzz import fuzz
from tests.serving.running import LIMIT, Running, post, running, tiny_engine
from tests.serving.test_stop import until

HEAD = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running(body=10_000, tokens=50, read_seconds=0.3) as one:
        yield one
        assert one.complete(prompt="abc").status == 200
        assert one.pending == 0


@pytest.mark.parametrize("fields, param", [
    ({}, "prompt"), (dict(prompt=""), "prompt"), (dict(prompt=3), "prompt"), (dict(prompt=["abc"]), "prompt"),
    (dict(prompt=[[1], [2]]), "prompt"), (dict(prompt=[1, 2.5]), "prompt"), (dict(prompt=[True]), "prompt"),
    (dict(prompt=[11]), "prompt"), (dict(prompt=[-1]), "prompt"), (dict(prompt=[10**300]), "prompt"),
    (dict(prompt={"a": 1}), "prompt"), (dict(prompt="a" * 25), "prompt"), (dict(prompt="abcz"), "prompt"),
    (dict(prompt="\ud800"), "prompt"), (dict(prompt="a\n\x1b[2J"), "prompt"), (dict(prompt=None), "prompt"),
    (dict(max_tokens=0), "max_tokens"), (dict(max_tokens=51), "max_tokens"),
    (dict(max_tokens="3"), "max_tokens"),
    (dict(max_tokens=1.0), "max_tokens"), (dict(max_tokens=10**300), "max_tokens"),
    (dict(temperature=float("nan")), "temperature"), (dict(temperature=-1), "temperature"),
    (dict(temperature="hot"), "temperature"), (dict(temperature=True), "temperature"),
    (dict(temperature=10**350), "temperature"), (dict(temperature=0, top_p=0.5), "top_p"),
    (dict(temperature=0, n=2), "n"), (dict(top_p=0), "top_p"), (dict(top_p=float("inf")), "top_p"),
    (dict(top_k=-1), "top_k"), (dict(min_p=2), "min_p"), (dict(repetition_penalty=0), "repetition_penalty"),
    (dict(seed=-1), "seed"), (dict(seed="x"), "seed"), (dict(n=0), "n"), (dict(n=9), "n"),
    (dict(n=10**9), "n"), (dict(logprobs=21), "logprobs"), (dict(logprobs=True), "logprobs"),
    (dict(stop=""), "stop"), (dict(stop=[""]), "stop"), (dict(stop=["a"] * 17), "stop"),
    (dict(stop=3), "stop"), (dict(stop=["a" * 257]), "stop"), (dict(stream=1), "stream"),
    (dict(user=3), "user"), (dict(user=["a"]), "user"), (dict(n=2, max_tokens=26), "max_tokens"),
    (dict(n=8, max_tokens=10**300), "max_tokens"), (dict(best_of=2), "best_of"),
    ({"x" * 5000: 1}, "x" * 5000), ({"a\nb": 1}, "a\nb")])
@pytest.mark.parametrize("stream", [False, True])
def test_fields(server: Running, fields: dict[str, Any], param: str, stream: bool) -> None:
    whole = {"prompt": "abc", **({"stream": True} if stream else {}), **fields} if fields else {}
    answer = server.complete(**whole)
    assert (
        answer.status == 400 and answer.code == "invalid_request" and answer.json["error"]["param"] == param
    )


def test_another_model(server: Running) -> None:
    for model in ("gpt-5", 3):
        answer = server.complete(prompt="abc", model=model)
        assert answer.status == 404 and answer.code == "model_not_found"


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"3", b"null", b'"abc"', b"\xff\xfe\x00", b"\x00" * 100, b'{"prompt": "abc"} x',
    b'{"prompt": "abc", "seed": 1, "seed": 2}', b'{"prompt": "abc", "prompt": "abc"}',
    b'{"prompt": "abc", "stop": {"a": 1, "a": 1}}', b"{" + b'"a": 1, ' * 1000 + b'"b": 1}',
    b"[" * 5000, b'{"prompt": ' * 800, b"9" * 5000, b'{"prompt": "\x01"}', b"{'prompt': 'abc'}"])
def test_bodies(server: Running, body: bytes) -> None:
    answer = server.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
    assert answer.status == 400 and answer.code == "invalid_request"


@pytest.mark.parametrize("data, status, code", [
    (b"\r\n\r\n", 400, "bad_request"), (b"GARBAGE\n", 400, "bad_request"),
    (b"\x16\x03\x01\x02\n" * 9, 400, "bad_request"),
    (b"GET /health\r\n", 400, "bad_request"), (b"GET /health HTTP/2.0\r\n\r\n", 400, "bad_request"),
    (b"GET  /health HTTP/1.1\r\n\r\n", 400, "bad_request"),
    (b"get /health HTTP/1.1\r\n\r\n", 400, "bad_request"),
    (b"GET http://x/ HTTP/1.1\r\n\r\n", 400, "bad_request"),
    (b"GET /health HTTP/1.1\r\nx y: 1\r\n\r\n", 400, "bad_request"),
    (b"GET /health HTTP/1.1\r\nnocolon\r\n\r\n", 400, "bad_request"),
    (b"GET /health HTTP/1.1\r\n: 1\r\n\r\n", 400, "bad_request"),
    (b"GET /" + b"x" * 20_000, 431, "headers_too_large"),
    (b"GET /health HTTP/1.1\r\nx: " + b"y" * 20_000, 431, "headers_too_large"),
    (b"GET /health HTTP/1.1\r\n" + b"".join(b"x%d: 1\r\n" % i for i in range(99)), 431, "headers_too_large"),
    (b"GET /health HTTP/1.1\r\n" + b"x: 1\r\n" * 99, 431, "headers_too_large"),
    (b"GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403, "wrong_host"),
    (b"GET /nothing HTTP/1.1\r\n\r\n", 404, "not_found"),
    (b"GET /../etc/passwd HTTP/1.1\r\n\r\n", 404, "not_found"),
    (b"GET /v1/completions HTTP/1.1\r\n\r\n", 405, "wrong_method"),
    (b"DELETE /health HTTP/1.1\r\n\r\n", 405, "wrong_method"),
    (b"POST /health HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 405, "wrong_method"),
    (HEAD + b"\r\n{}", 411, "length_required"),
    (HEAD + b"Content-Length: 10001\r\n\r\n", 413, "body_too_large"),
    (HEAD + b"Content-Length: 10001\r\n\r\n" + b"x" * 10_001, 413, "body_too_large"),
    (HEAD + b"Content-Length: 9999999\r\n\r\n" + b"x" * 300_000, 413, "body_too_large"),
    (HEAD + b"Content-Length: 99999999999999999999\r\n\r\n", 413, "body_too_large"),
    (HEAD + b"Content-Length: -1\r\n\r\n", 400, "bad_request"),
    (HEAD + b"Content-Length: 0x9\r\n\r\n", 400, "bad_request"),
    (HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ", 400, "bad_request"),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 501, "no_chunks"),
    (b"POST /v1/completions HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", 415, "not_json"),
    (b"POST /v1/completions HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}", 415,
     "not_json"),
    (b"", 408, "request_timeout"), (b"GET /hea", 408, "request_timeout"), (HEAD, 408, "request_timeout"),
    (HEAD + b"Content-Length: 20\r\n\r\n{}", 408, "request_timeout")])
def test_bytes(server: Running, data: bytes, status: int, code: str) -> None:
    answer = server.send(data)
    assert (answer.status, answer.code) == (status, code)


def test_random_bytes(server: Running) -> None:
    rng = np.random.default_rng(1)
    good = post(prompt="abc", max_tokens=3)
    for _ in range(60):
        data = bytearray(good)
        for at in rng.integers(len(data), size=int(rng.integers(1, 5))):
            data[at] = int(rng.integers(256))
        answer = server.send(bytes(data))
        assert answer.status == 200 or answer.code


def test_random_requests_from_several_clients() -> None:
    """See fuzz.py. Every kind of end occurs."""
    found = fuzz(150, 1)
    assert {"left", "whole", "stream", "400 invalid_request"} <= set(found) and found.total() == 150


def test_a_client_that_leaves_within_its_request(server: Running) -> None:
    for part in (b"", b"GET", HEAD, HEAD + b"Content-Length: 20\r\n\r\n{"):
        server.connect(part).close()
    assert server.request("GET", "/health").status == 200


def test_the_default_of_max_tokens_is_allowed() -> None:
    with running(tokens=5) as server:
        for samples, tokens in ((1, 5), (2, 2), (5, 1)):
            answer = server.complete(prompt="abc", n=samples).json
            assert answer["usage"]["completion_tokens"] == samples * tokens


@pytest.mark.parametrize("options", [
    dict(repetition_penalty=1e-308), dict(repetition_penalty=5e-324, temperature=0),
    dict(repetition_penalty=1.7e308), dict(temperature=5e-324), dict(temperature=float("inf")),
    dict(temperature=1e308, top_p=5e-324), dict(min_p=1)])
def test_one_request_with_extreme_options_harms_no_other(server: Running, options: dict[str, Any]) -> None:
    """The other one is in the middle of its stream."""
    with server.connect(post(prompt="abc", max_tokens=50, stream=True)) as other:
        assert other.recv(10)
        extreme = server.complete(prompt="abcabc", max_tokens=20, seed=1, **options)
        received = b""
        while piece := other.recv(65536):
            received += piece
    assert extreme.status == 200 and extreme.json["usage"]["completion_tokens"] == 20
    assert received.endswith(b"data: [DONE]\n\n")


def test_a_body_that_is_announced(server: Running) -> None:
    """As curl does with larger bodies."""
    body = json.dumps({"prompt": "abc", "max_tokens": 3}).encode()
    with server.connect(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)) as client:
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(body)
        assert client.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_full_queue_and_too_many_connections() -> None:
    with running(queue=2, connections=3) as server:
        held = []
        for _ in range(2):
            held.append(server.connect(post(prompt="abc", max_tokens=4096, stream=True)))
            assert held[-1].recv(10)
        full = server.complete(prompt="abc")
        assert full.status == 429 and full.code == "queue_full"
        until(lambda: len(server.server._tasks) == 2)               # that connection is closed
        held.append(server.connect(b"GET"))
        for _ in range(20):
            many = server.send(b"GET /health HTTP/1.1\r\n\r\n")
            assert many.status == 503 and many.code == "too_many_connections"
        for client in held:
            client.close()


def test_a_burst_of_connections_is_refused_by_name() -> None:
    """All that the system accepts in one turn of the loop, while the connections before them are still
    closing.
    """
    with running(connections=2, read_seconds=60.0) as server:
        held = [server.connect(b"GET") for _ in range(2)]
        many = [server.connect(b"GET /health HTTP/1.1\r\n\r\n") for _ in range(200)]
        for client in many:
            assert client.recv(20).startswith(b"HTTP/1.1 503 ")
            client.close()
        for client in held:
            client.close()


def test_a_burst_does_not_refuse_its_first_connections() -> None:
    """The loop is busy while they come, so it accepts all of them before it reads the first request."""
    with running(connections=20) as server:
        all_sent = threading.Event()
        server.server._asyncio.call_soon_threadsafe(all_sent.wait, LIMIT)
        burst = [server.connect(b"GET /health HTTP/1.1\r\n\r\n") for _ in range(50)]
        all_sent.set()
        answers = [client.recv(12)[9:] for client in burst]
        assert answers == [b"200"] * 20 + [b"503"] * 30
        for client in burst:
            client.close()


def test_weights_that_are_not_finite() -> None:
    engine = tiny_engine()
    with running(engine) as server:
        table = next(iter(engine.runner.model.parameters())).data  # type: ignore[attr-defined]
        before = table.copy()
        table[:] = np.nan
        with np.errstate(all="ignore"):
            answer = server.complete(prompt="abc")
            stream = server.complete(prompt="abc", stream=True)
        assert answer.status == 500 and answer.code == "engine_error"
        assert json.loads(stream.body.removeprefix(b"data: "))["error"]["code"] == "engine_error"
        table[:] = before
        assert server.complete(prompt="abc").status == 200 and engine.memory.pool.in_use == 0


def test_a_bug_of_the_engine_is_reported_to_all_and_ends_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = tiny_engine()
    monkeypatch.setattr(engine, "step", lambda: 1 // 0)
    with running(engine) as server:
        answer = server.complete(prompt="abc")
        assert answer.status == 500 and answer.code == "internal_error"
    assert isinstance(server.failure, ZeroDivisionError)


def test_a_bug_of_the_server_is_reported_and_the_server_goes_on(
        monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    with running() as server, caplog.at_level(logging.ERROR, "asyncio"):
        with monkeypatch.context() as patch:
            patch.setattr("minipar.serving.completions.parse_call", lambda *values: 1 // 0)
            answer = server.complete(prompt="abc")
            assert (
                answer.status == 500
                and answer.code == "internal_error"
                and "ZeroDivisionError" in caplog.text
            )
        assert server.complete(prompt="abc").status == 200


def test_limits_must_be_positive() -> None:
    for name, value in (("queue", 0), ("body", -1), ("read_seconds", float("nan")), ("tokens", 1.5)):
        with refused(ConfigError, item=name):
            ServerLimits(**{name: value})  # type: ignore[arg-type]


