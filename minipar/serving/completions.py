"""Answers one request of POST /v1/completions, from its JSON to the last byte of the response."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

from minipar.data.tokenizer import Tokenizer
from minipar.errors import MiniparError
from minipar.serving.api import Choices, CompletionCall, parse_call
from minipar.serving.http import Awaited, HttpRequest, end_of, error_body, json_bytes, response, send
from minipar.serving.limits import ServerLimits
from minipar.serving.loop import Delivery, EngineLoop


class Completions:
    """Answers requests with the tokens of an engine. model: the name of the model that clients see.
    """

    def __init__(self, loop: EngineLoop, tokenizer: Tokenizer, model: str, limits: ServerLimits):
        self._loop, self._tokenizer, self._model, self._limits = loop, tokenizer, model, limits
        self._numbers = count(1)
        self._encoder = ThreadPoolExecutor(1, "encoder")  # a long prompt must not delay other connections

    def close(self) -> None:
        self._encoder.shutdown()

    async def answer(self, request: HttpRequest, reader: asyncio.StreamReader,
                     writer: asyncio.StreamWriter) -> None:
        """Send the response. Raises MiniparError for an error before the first byte is sent, ConnectionError
        if the client has closed the connection, and TimeoutError if the client does not read. After an error,
        the engine removes the request.
        """
        call = await asyncio.get_running_loop().run_in_executor(
            self._encoder, parse_call, request.body, self._tokenizer, self._model, self._limits.tokens)
        choices = Choices(f"cmpl-{next(self._numbers)}", self._model, call.request, self._tokenizer)
        async with self._submitted(call) as events:
            if call.stream:
                await while_connected(reader, self._stream(events, choices, writer))
            else:
                body = await while_connected(reader, _whole(events, choices))
                await send(writer, response(200, body), self._limits.write_seconds)

    @asynccontextmanager
    async def _submitted(self, call: CompletionCall) -> AsyncIterator[asyncio.Queue[Delivery]]:
        """Submit the request to the engine, and yield the queue of its tokens. Cancel it at the end of the
        block.
        """
        events: asyncio.Queue[Delivery] = asyncio.Queue()  # at most one item per token
        loop = asyncio.get_running_loop()
        ticket = self._loop.submit(call.request,
                                   lambda new: loop.call_soon_threadsafe(events.put_nowait, new))
        try:
            yield events
        finally:
            self._loop.cancel(ticket)

    async def _stream(self, events: asyncio.Queue[Delivery], choices: Choices,
                      writer: asyncio.StreamWriter) -> None:
        """Send the tokens as server-sent events. Tokens that are ready together are sent together. An error
        is the last event.
        """
        await send(writer, response(200, None, "text/event-stream"), self._limits.write_seconds)
        ended = False
        while not ended:
            new = [await events.get()]
            while not events.empty():
                new.append(events.get_nowait())
            lines = []
            for one in new:
                if isinstance(one, MiniparError):
                    lines.append(json_bytes(error_body(one)))
                    ended = True
                    break
                shown = choices.add(one)
                if one.text or one.finished or one.logprob is not None:
                    lines.append(json_bytes(shown))
            if choices.complete:
                lines.append(b"[DONE]")
                ended = True
            await send(writer, b"".join(b"data: " + line + b"\n\n" for line in lines),
                       self._limits.write_seconds)


async def _whole(events: asyncio.Queue[Delivery], choices: Choices) -> bytes:
    while not choices.complete:
        new = await events.get()
        if isinstance(new, MiniparError):
            raise new
        choices.add(new)
    return json_bytes(choices.whole())


async def while_connected(reader: asyncio.StreamReader, work: Coroutine[Any, Any, Awaited]) -> Awaited:
    """Run `work` and return its result. If the client closes the connection before, cancel the work and raise
    ConnectionResetError.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(end_of(reader))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ConnectionResetError("the client left before its response was complete")
        return task.result()
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)
