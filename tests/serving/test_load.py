"""Clients measure a server: all tokens, times from the planned arrival, and a name for every other end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from minipar.errors import ConfigError
from minipar.inference.queueing.workload import TimedRequest, TokenLengths, request_stream
from minipar.inference.requests import Sampling, TextRequest
from minipar.serving.load import MOST_CLIENTS, ClientResult, ServedModel, drive, served_model
from minipar.serving.server import HOST
from tests.refusals import refused
from tests.serving.running import Running, running, tiny_engine
from tests.serving.test_stop import slowly

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
EVENT = b'data: {"id": "cmpl-1"}\n\n'


def at_once(count: int, prompt: int = 3, tokens: int = 4) -> list[TimedRequest]:
    return [TimedRequest(0.0, TextRequest([1] * prompt, tokens, Sampling(temperature=0)))] * count


def results(server: Running, requests: list[TimedRequest], concurrency: int = 50) -> list[ClientResult]:
    return asyncio.run(drive(server.port, requests, concurrency, 30.0))


def test_every_request_is_answered_and_timed() -> None:
    lengths = TokenLengths("uniform", 6, 20)
    requests = request_stream(100.0, 25, lengths, lengths, vocabulary=11)
    with running() as server:
        assert asyncio.run(served_model(server.port, 30.0)) == ServedModel("tiny", 24, 11)
        found = results(server, requests)
    for one, result in zip(requests, found, strict=True):
        assert (
            result.times is not None
            and len(result.times.tokens) == one.request.max_tokens
            and not result.refused
        )
        assert result.times.arrived == one.arrival < result.times.tokens[0]
        assert list(result.times.tokens) == sorted(result.times.tokens)
    latest = max(result.times.tokens[-1] for result in found if result.times)
    assert requests[-1].arrival < latest < 25


def test_the_wait_for_other_clients_counts() -> None:
    """Otherwise a slow server would seem fast: each request would begin when the one before it has ended."""
    with running(slowly(tiny_engine(), 0.01)) as server:
        found = [one.times for one in results(server, at_once(4), concurrency=1)]
    ends = sorted(one.latency for one in found if one)
    assert len(ends) == 4 and ends[0] >= 0.04 and ends[3] >= ends[0] + 0.12
    assert all(one.arrived == 0 for one in found if one)


def test_refusals_have_their_names() -> None:
    with running(slowly(tiny_engine(batch=1), 0.01), queue=2) as server:
        found = results(server, at_once(6, tokens=30))
        names = [one.refused for one in found]
        assert set(names) == {"", "queue_full"} and names.count("") >= 2
        (long,) = results(server, at_once(1, prompt=25))
        assert long == ClientResult(None, "invalid_request")


def test_a_server_that_stops() -> None:
    with running(slowly(tiny_engine(), 0.01), drain_seconds=0.1) as server:
        requests = [*at_once(3, tokens=2000), TimedRequest(0.3, TextRequest([1]))]

        async def stopped() -> list[ClientResult]:
            asyncio.get_running_loop().call_later(0.15, server.stop)
            return await drive(server.port, requests, 50, 30.0)

        *streams, late = asyncio.run(stopped())
    assert streams == [ClientResult(None, "shutting_down")] * 3
    assert late.refused in ("shutting_down", "disconnected")        # the port is closed at last


@pytest.mark.parametrize("answer, name", [
    (b"", "disconnected"), (HEAD, "disconnected"), (HEAD + EVENT, "disconnected"),
    (HEAD + b"data: x", "disconnected"),
    (HEAD + EVENT * 3 + b"data: [DONE]\n\n", "invalid_response"),
    (HEAD + b"data: [DONE]\n\n", "invalid_response"),
    (b"SSH-2.0-OpenSSH\r\n\r\n", "invalid_response"),
    (b"HTTP/1.1 500 Oops\r\n\r\n<html>", "invalid_response"),
    (b"HTTP/1.1 500 Oops\r\n\r\n[]", "invalid_response"),
    (b'HTTP/1.1 500 Oops\r\n\r\n{"error": 1}', "invalid_response"),
    (HEAD + b'data: {"error": 3}\n', "invalid_response"), (HEAD + b'data: {"error": {"code": "x"}}\n', "x"),
    (HEAD + b"x" * 2_000_000, "invalid_response"), (None, "timeout"),
    (HEAD + b"\n" * 100_000, "invalid_response"), (HEAD + EVENT * 20_000, "invalid_response"),
    (b'HTTP/1.1 429 No\r\n\r\n{"error": {"code": "a\\u001b[31m\\n"}}', r"a\x1b[31m\n"),
    (HEAD + EVENT * 4 + b"data: [DONE]\n\n", "")])
def test_what_is_no_answer_of_a_server(answer: bytes | None, name: str) -> None:
    """None: silence."""
    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}")
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
        writer.close()

    async def asked() -> list[ClientResult]:
        async with await asyncio.start_server(reply, HOST, 0) as server:
            return await drive(
                server.sockets[0].getsockname()[1], at_once(1), 1, 30.0 if answer is not None else 0.1
            )

    (found,) = asyncio.run(asked())
    assert found.refused == name and (found.times is None) == bool(name)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"data": []}', b'{"data": [{"id": "x"}]}',
                                  b'{"data": [{"id": "x", "context": "8", "vocabulary": 3}]}', b"\xff",
                                  b'{"data": [{"id": 3, "context": 8, "vocabulary": 3}]}',
                                  *[b'{"data": [{"id": "x", "context": %s, "vocabulary": %s}]}' % sizes
                                    for size in (b"0", b"-1", b"true", b"1" + b"0" * 300, b"8.0", b"NaN")
                                    for sizes in ((size, b"3"), (b"8", size))]])
def test_a_page_of_models_of_another_program(body: bytes) -> None:
    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + body)
        writer.close()

    async def asked() -> Any:
        async with await asyncio.start_server(reply, HOST, 0) as server:
            return await served_model(server.sockets[0].getsockname()[1], 30.0)

    with refused(ConfigError, "another program", item="url"):
        asyncio.run(asked())


def test_the_name_of_a_model_is_printable() -> None:
    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        name = json.dumps("a\x1b[31m\nb" + "x" * 9999).encode()
        writer.write(b'HTTP/1.1 200 OK\r\n\r\n{"data": [{"id": %s, "context": 8, "vocabulary": 3}]}' % name)
        writer.close()

    async def asked() -> ServedModel:
        async with await asyncio.start_server(reply, HOST, 0) as server:
            return await served_model(server.sockets[0].getsockname()[1], 30.0)

    name = asyncio.run(asked()).name
    assert name.isprintable() and len(name) < 300


def test_no_server_and_invalid_values() -> None:
    with refused(ConfigError, "start one", item="url"):
        asyncio.run(served_model(1, 5.0))
    for concurrency in (0, -1, MOST_CLIENTS + 1):
        with refused(ConfigError, item="concurrency"):
            asyncio.run(drive(1, at_once(1), concurrency, 5.0))
