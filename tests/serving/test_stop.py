"""The end of the server: accepted requests finish, or are refused by name; the exit status says which."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from http.client import HTTPConnection

import pytest

from minipar.cli.serve import OWN_FILES, _require_open_files
from minipar.errors import ConfigError
from minipar.inference.engine import Engine
from minipar.inference.requests import NewToken
from minipar.inference.stages import stages_of
from minipar.proof.serving import opinionated
from minipar.serving.server import BACKLOG, HOST, HttpServer
from tests.commands import call, refused
from tests.refusals import refused as raised
from tests.serving.running import LETTERS, LIMIT, Response, one_letter_engine, post, running, tiny_engine


def slowly(engine: Engine, seconds: float) -> Engine:
    """The engine, with steps that take at least so long."""
    step = engine.step

    def slow_step() -> list[NewToken]:
        time.sleep(seconds)
        return step()

    engine.step = slow_step  # type: ignore[method-assign]
    return engine


def until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.005)


def test_accepted_requests_finish_and_new_ones_are_refused() -> None:
    with running(slowly(tiny_engine(batch=2), 0.01)) as server, ThreadPoolExecutor(5) as clients:
        asked = [clients.submit(server.complete, prompt="abc", max_tokens=15, stream=bool(number % 2))
                 for number in range(5)]                            # more than the batch: some wait
        until(lambda: server.pending == 5)
        server.stop()
        until(lambda: server.request("GET", "/health").code == "shutting_down")
        late = server.complete(prompt="abc")
        assert late.status == 503 and late.code == "shutting_down"
        for number, one in enumerate(asked):
            answer = one.result(LIMIT)
            assert answer.status == 200 and (answer.events if number % 2 else answer.json)
    assert server.unfinished == 0


@pytest.mark.parametrize("twice", [False, True], ids=["after the limit", "second signal"])
def test_what_cannot_finish_is_refused_by_name(twice: bool) -> None:
    seconds = LIMIT if twice else 0.1
    with (
        running(slowly(tiny_engine(batch=2), 0.01), drain_seconds=seconds) as server,
        ThreadPoolExecutor(5) as clients,
    ):
        asked: list[Future[Response]] = [
            clients.submit(server.complete, prompt="abc", max_tokens=4000, stream=bool(number % 2))
            for number in range(5)
        ]
        until(lambda: server.pending == 5)
        idle = server.connect(b"GET /hea")
        for _ in range(1 + twice):
            server.stop()
        for number, one in enumerate(asked):
            answer = one.result(LIMIT)
            if number % 2:
                assert answer.status == 200
                last = answer.body.decode().split("\n\n")[-2].removeprefix("data: ")
                assert json.loads(last)["error"]["code"] == "shutting_down"
            else:
                assert answer.status == 503 and answer.code == "shutting_down"
        assert idle.recv(100) == b""                                # closed
        idle.close()
    assert server.unfinished == 5


def test_requests_on_their_way_are_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal comes after the connections are open, before the requests are sent."""
    monkeypatch.setattr("minipar.serving.server.LAST_SECONDS", float(LIMIT))  # a busy machine takes longer
    with running() as server:
        clients = [server.connect(b"") for _ in range(20)]
        server.stop()
        time.sleep(0.2)
        for client in clients:
            client.sendall(post(prompt="abc"))
        for client in clients:
            assert client.recv(1000).startswith(b"HTTP/1.1 503 ")
            client.close()


def test_a_slow_reader_does_not_hold_up_the_end() -> None:
    with (
        running(one_letter_engine(), write_seconds=0.3) as server,
        server.connect(post(prompt="a", max_tokens=4000, stream=True, logprobs=11), SO_RCVBUF=4096) as slow,
    ):
        assert slow.recv(10)
        began = time.monotonic()
        server.stop()
        until(lambda: server.unfinished is not None)
        assert time.monotonic() - began < 8


@pytest.mark.parametrize("number, tokens, drain, status", [
    (signal.SIGTERM, 30, "60", 0), (signal.SIGINT, 30, "60", 0),
    (signal.SIGTERM, 4000, "0.1", 128 + signal.SIGTERM)])
def test_signals(number: signal.Signals, tokens: int, drain: str, status: int,
                 monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The command, in this process: a client sends it the signal in the middle of a stream."""
    model = opinionated(24)
    weights = {p.name: p.data for p in model.parameters()}
    monkeypatch.setattr("minipar.cli.serve.text_model", lambda grid, options: (
        stages_of(model.config, weights, grid), LETTERS))
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    step = Engine.step
    monkeypatch.setattr(Engine, "step", lambda engine: (time.sleep(0.01), step(engine))[1])

    def client() -> Response:
        until(lambda: listens(port))
        connection = HTTPConnection(HOST, port, timeout=LIMIT)
        connection.request(
            "POST",
            "/v1/completions",
            json.dumps(dict(prompt="abc", max_tokens=tokens, stream=True)),
            {"Content-Type": "application/json"},
        )
        answer = connection.getresponse()
        first = answer.read(10)
        os.kill(os.getpid(), number)
        rest = answer.read()
        connection.close()
        return Response(answer.status, answer.headers.get_content_type(), first + rest)

    with ThreadPoolExecutor(1) as clients:
        answer = clients.submit(client)
        assert call("serve", "--run", "tiny", "--port", port, "--drain", drain) == status
    out, err = capsys.readouterr()
    assert f":{port}" in out and out.count("\n") == 1
    if status:
        assert err.count("\n") == 1 and "SIGTERM" in err and b"shutting_down" in answer.result().body
    else:
        assert err == "" and len(answer.result().events) == tokens


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def test_a_port_that_is_taken() -> None:
    with running() as server:
        for port in (server.port, 70_000, -1):
            other = HttpServer(tiny_engine(), "tiny")
            with raised(ConfigError, "--port", item="port"):
                asyncio.run(other.run(port, lambda port: None))


def test_an_engine_without_a_tokenizer() -> None:
    with raised(ConfigError, "tokenizer"):
        HttpServer(Engine(opinionated(8)), "tiny")


@pytest.mark.parametrize("words, said", [
    (["--run", "none"], "none"), (["--weights", "w.npz"], "--tokenizer"),
    (["--run", "none", "--queue", "0"], "queue"),
    (["--run", "none", "--batch", "0"], "batch"), (["--run", "none", "--max-tokens", "0"], "tokens"),
    (["--run", "none", "--connections", "-1"], "connections"),
    (["--run", "none", "--connections", "9" * 15], "open files"),
    (["--run", "none", "--drain", "nan"], "--drain")])
def test_a_wrong_command_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said in refused(capsys, "serve", *words)


def test_connections_raise_the_limit_of_open_files() -> None:
    """The soft limit grows as far as needed, and never shrinks."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (700, before[1]))
        _require_open_files(10)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 700
        _require_open_files(200)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 200 + BACKLOG + OWN_FILES
        with raised(ConfigError, "--connections", item="connections"):
            _require_open_files(10**15)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
