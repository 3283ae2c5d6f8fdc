"""A server in a thread of this process, on a free port, and clients for it."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

import numpy as np

from minipar.config import ModelConfig
from minipar.data.tokenizer import CharTokenizer
from minipar.inference.engine import Engine
from minipar.inference.options import EngineOptions
from minipar.nn import GPT
from minipar.proof.serving import opinionated
from minipar.serving.limits import ServerLimits
from minipar.serving.server import HOST, HttpServer

LETTERS = CharTokenizer("abcdefghijk")
LIMIT = 30  # seconds; a test that waits longer has failed


def tiny_engine(context: int = 24, batch: int = 8) -> Engine:
    return Engine(opinionated(context), LETTERS, EngineOptions(batch=batch, block_size=4))


def one_letter_engine() -> Engine:
    """Fast: a text of thousands of tokens takes a second. The context must hold it, or it is computed anew.
    """
    config = ModelConfig(vocabulary=len("abcdefghijk"), context=8, layers=1, heads=1, width=4)
    return Engine(GPT(config, dtype=np.float64), LETTERS, EngineOptions(batch=64))


@dataclass
class Response:
    """kind: the Content-Type."""

    status: int
    kind: str
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The name of the error; its message must be one line, and its fields those of OpenAI."""
        error = self.json["error"]
        assert set(error) == {"message", "code", "type", "param"} and self.kind == "application/json"
        assert error["message"] and "\n" not in error["message"] and len(error["message"]) < 500
        return str(error["code"])

    @property
    def events(self) -> list[Any]:
        """Of a stream, without [DONE], which must be last."""
        assert self.kind == "text/event-stream"
        *lines, last, rest = self.body.decode().split("\n\n")
        assert last == "data: [DONE]" and not rest
        return [json.loads(line.removeprefix("data: ")) for line in lines]


@dataclass
class Running:
    """A server that runs. unfinished: what `HttpServer.run` has returned; failure: what it has raised."""

    server: HttpServer
    port: int = 0
    unfinished: int | None = None
    failure: Exception | None = None

    def stop(self) -> None:
        self.server._asyncio.call_soon_threadsafe(self.server.stop)

    @property
    def engine(self) -> Engine:
        return self.server._loop.engine

    @property
    def pending(self) -> int:
        return self.server._loop.pending

    def request(self, method: str, path: str, body: bytes | None = None,
                headers: dict[str, str] | None = None) -> Response:
        connection = HTTPConnection(HOST, self.port, timeout=LIMIT)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return Response(answer.status, answer.headers.get_content_type(), answer.read())
        finally:
            connection.close()

    def complete(self, **fields: Any) -> Response:
        return self.request("POST", "/v1/completions", json.dumps(fields).encode(),
                            {"Content-Type": "application/json"})

    def metric(self, name: str) -> float:
        page = self.request("GET", "/metrics").body.decode()
        return sum(float(line.split()[-1]) for line in page.splitlines()
                   if line.startswith((f"minipar_{name} ", f"minipar_{name}{{")))

    def connect(self, data: bytes, **options: int) -> socket.socket:
        """A client that has sent these bytes; options: of the socket, such as SO_RCVBUF."""
        client = socket.socket()
        client.settimeout(LIMIT)
        for name, value in options.items():
            client.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
        client.connect((HOST, self.port))
        client.sendall(data)
        return client

    def send(self, data: bytes) -> Response:
        """The response to raw bytes."""
        with self.connect(data) as client:
            received = b""
            while piece := client.recv(65536):
                received += piece
        head, _, body = received.partition(b"\r\n\r\n")
        kinds = [line.split(b": ")[1] for line in head.split(b"\r\n") if line.startswith(b"Content-Type: ")]
        return Response(int(head.split()[1]), kinds[0].decode(), body)


def post(**fields: Any) -> bytes:
    """The bytes of a request for a completion."""
    body = json.dumps(fields).encode()
    return (b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body)) + body


@contextmanager
def running(engine: Engine | None = None, **limits: Any) -> Iterator[Running]:
    """In the block, the server runs; afterwards it must end."""
    one = Running(HttpServer(engine or tiny_engine(), "tiny", ServerLimits(**limits)))
    started = threading.Event()

    def note(port: int) -> None:
        one.port = port
        started.set()

    def serve() -> None:
        try:
            one.unfinished = asyncio.run(one.server.run(0, note))
        except Exception as error:
            one.failure = error

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        assert started.wait(LIMIT)
        yield one
    finally:
        with suppress(RuntimeError):                                # it has stopped, and its loop is closed
            one.stop()
        thread.join(LIMIT)
    assert not thread.is_alive()
