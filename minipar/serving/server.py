"""Defines the HTTP server: its connections, its pages and its shutdown.

    GET  /health            200 while requests are accepted, 503 afterwards
    GET  /metrics           counters and times for Prometheus
    GET  /v1/models         the model of this server
    POST /v1/completions    see api.py

While the server stops, it still answers: new requests get an error with a code, and accepted requests may
finish within a time limit.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from minipar.errors import ConfigError, MiniparError
from minipar.inference.engine import Engine
from minipar.serving.completions import Completions
from minipar.serving.http import (
    LONGEST_LINE,
    HttpError,
    HttpRequest,
    close,
    error_response,
    json_bytes,
    read_request,
    response,
    send,
    status_of_error,
    within,
)
from minipar.serving.limits import ServerLimits
from minipar.serving.loop import EngineLoop
from minipar.serving.metrics import ServerMetrics

HOST = "127.0.0.1"
BACKLOG = 512  # connections that the system keeps waiting
LEAST_SECONDS, LAST_SECONDS = 0.05, 0.5                             # shortest, longest wait for late requests
SEND_BUFFER = 1 << 16  # bytes that the system buffers for a slow reader; the default grows to megabytes
REFUSED_AT_ONCE = BACKLOG  # connections above the limit that receive an error; further ones are closed


class HttpServer:
    """An HTTP server for an engine that has a tokenizer. name: the name of the model that clients see.

    >>> import asyncio, minipar as mp
    >>> from minipar.data.tokenizer import ByteTokenizer
    >>> from minipar.inference.engine import Engine
    >>> from minipar.serving.server import HttpServer
    >>> model = mp.GPT(mp.ModelConfig(context=4, layers=1, heads=1, width=4))
    >>> server = HttpServer(Engine(model, ByteTokenizer()), "tiny")
    >>> asyncio.run(server.run(0, lambda port: server.stop()))      # number of aborted requests
    0
    """

    def __init__(self, engine: Engine, name: str, limits: ServerLimits | None = None):
        if engine.tokenizer is None:
            raise ConfigError("a server needs an engine with a tokenizer; give the engine one")
        self.name, self.limits, self.metrics = name, limits or ServerLimits(), ServerMetrics()
        self._loop = EngineLoop(engine, self.limits.queue, self.metrics, self._engine_failed)
        self._completions = Completions(self._loop, engine.tokenizer, name, self.limits)
        self._tasks: set[asyncio.Task[Any]] = set()                 # tasks of accepted connections
        self._refusing: set[asyncio.Task[Any]] = set()              # tasks of connections above the limit
        self._answering: set[asyncio.Task[Any]] = set()             # tasks whose request has been read
        self._stops = 0

    def stop(self) -> None:
        """Begin to stop the server. A second call ends all requests at once. Call this method in the server's
        thread.
        """
        self._stops += 1
        if self._stops == 1:
            self._stop_asked.set()

    async def run(self, port: int, started: Callable[[int], object]) -> int:
        """Serve until `stop` is called. Returns the number of accepted requests that did not finish.

        port: with 0, the system chooses a port. started: a function that is called with the port when the
        server accepts connections. Raises ConfigError if the port cannot be used. Raises an unexpected error
        of the engine.
        """
        self._asyncio, self._stop_asked = asyncio.get_running_loop(), asyncio.Event()
        try:
            listener = await asyncio.start_server(self._accept, HOST, port, limit=LONGEST_LINE,
                                                  backlog=BACKLOG)
        except (OSError, OverflowError) as error:
            raise ConfigError(f"cannot serve on port {port}: {error}; choose another --port",
                              item="port") from error
        self._loop.start()
        try:
            started(listener.sockets[0].getsockname()[1])
            await self._stop_asked.wait()
        finally:
            unfinished = await self._end(listener)
        if self._loop.failure is not None:
            raise self._loop.failure
        return unfinished

    async def _end(self, listener: asyncio.Server) -> int:
        self._loop.refuse_new(_stopping)
        ends = self._asyncio.time() + self.limits.drain_seconds
        while self._loop.pending and self._stops < 2 and self._asyncio.time() < ends:
            await asyncio.sleep(0.01)
        unfinished = self._loop.pending
        await self._asyncio.run_in_executor(None, self._loop.end, _stopping)
        await self._refuse_the_last()
        if self._answering:                                         # these responses only need to be sent
            await asyncio.wait(self._answering, timeout=self.limits.write_seconds)
        listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await listener.wait_closed()
        self._completions.close()
        return unfinished

    async def _refuse_the_last(self) -> None:
        """Wait a short time before connections are closed. Requests that arrive late then get an error with a
        code.
        """
        begun = self._asyncio.time()
        while (waited := self._asyncio.time() - begun) < LEAST_SECONDS or (
                self._tasks - self._answering and waited < LAST_SECONDS):
            await asyncio.sleep(0.01)

    def _engine_failed(self) -> None:
        self._asyncio.call_soon_threadsafe(self.stop)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._tasks) >= self.limits.connections + REFUSED_AT_ONCE:
            writer.transport.abort()
            return
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        # this is decided here, in the order of arrival, so the first of many connections are admitted
        admitted = len(self._tasks) - len(self._refusing) < self.limits.connections
        task = self._asyncio.create_task(self._connection(reader, writer, admitted))
        self._tasks.add(task)
        if not admitted:
            self._refusing.add(task)
        for tasks in (self._tasks, self._refusing, self._answering):
            task.add_done_callback(tasks.discard)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
                          admitted: bool) -> None:
        """Answer the one request of a connection."""
        try:
            await self._respond(reader, writer, admitted)
        except ConnectionError:
            self.metrics.count("disconnects_total")
        except TimeoutError:
            self.metrics.count("slow_readers_total")
            writer.transport.abort()
        finally:
            await close(reader, writer, self.limits.write_seconds)

    async def _respond(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
                       admitted: bool) -> None:
        try:
            if not admitted:
                raise HttpError(f"{self.limits.connections} connections are open, as many as the limit",
                                status=503, code="too_many_connections")
            request = await self._read(reader, writer)
            if (task := asyncio.current_task()) is not None:
                self._answering.add(task)
            await self._route(request)(request, reader, writer)
            status = 200
        except MiniparError as error:
            status = status_of_error(error)
            await send(writer, error_response(error), self.limits.write_seconds)
        except (ConnectionError, TimeoutError):
            raise
        except Exception as error:  # a bug; asyncio reports it on stderr, and the server continues
            self._asyncio.call_exception_handler({"message": "a bug of minipar", "exception": error})
            bug, status = HttpError("an internal error of the server", status=500, code="internal_error"), 500
            await send(writer, error_response(bug), self.limits.write_seconds)
        self.metrics.count("requests_total", label=f'status="{status}"')

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> HttpRequest:
        try:
            return await within(self.limits.read_seconds, read_request(reader, writer, self.limits))
        except TimeoutError:
            raise HttpError(f"the request was not complete after {self.limits.read_seconds:g} seconds",
                            status=408, code="request_timeout") from None

    def _route(self, request: HttpRequest) -> Callable[..., Awaitable[None]]:
        """Return the function that answers this request. Raises HttpError if there is none."""
        routes = {"/health": ("GET", self._health), "/metrics": ("GET", self._metrics_page),
                  "/v1/models": ("GET", self._models), "/v1/completions": ("POST", self._completion)}
        if request.path not in routes:
            raise HttpError(f"there is no {request.path}; see {', '.join(routes)}", status=404,
                            code="not_found")
        method, function = routes[request.path]
        if request.method != method:
            raise HttpError(f"{request.path} needs {method}, not {request.method}", status=405,
                            code="wrong_method", allow=method)
        return function

    async def _completion(self, request: HttpRequest, reader: asyncio.StreamReader,
                          writer: asyncio.StreamWriter) -> None:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":                              # a web page cannot send this type
            raise HttpError("the Content-Type must be application/json", status=415, code="not_json")
        await self._completions.answer(request, reader, writer)

    async def _health(self, request: HttpRequest, reader: asyncio.StreamReader,
                      writer: asyncio.StreamWriter) -> None:
        if self._stops:
            raise _stopping()
        await send(writer, response(200, json_bytes({"status": "ok"})), self.limits.write_seconds)

    async def _models(self, request: HttpRequest, reader: asyncio.StreamReader,
                      writer: asyncio.StreamWriter) -> None:
        config = self._loop.engine.config
        page = {"object": "list", "data": [{"id": self.name, "object": "model", "context": config.context,
                                            "vocabulary": config.vocabulary}]}
        await send(writer, response(200, json_bytes(page)), self.limits.write_seconds)

    async def _metrics_page(self, request: HttpRequest, reader: asyncio.StreamReader,
                            writer: asyncio.StreamWriter) -> None:
        engine = self._loop.engine
        page = self.metrics.page({
            "connections": len(self._tasks), "requests_pending": self._loop.pending,
            "sequences_running": len(engine.scheduler.running),
            "sequences_waiting": len(engine.scheduler.waiting), "engine_steps": engine.steps,
            "cache_blocks_in_use": engine.memory.pool.in_use, "cache_blocks": engine.memory.pool.count})
        await send(writer, response(200, page.encode("ascii"), "text/plain; version=0.0.4"),
                   self.limits.write_seconds)


def _stopping() -> HttpError:
    return HttpError("the server stops; send the request to another one, or later", status=503,
                     code="shutting_down")
