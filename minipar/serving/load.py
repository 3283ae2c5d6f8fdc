"""Runs clients of a server. Each client sends its request at a given time, and records the times of its
tokens.

If too many other requests are open, a client must wait before it sends. All times count from the planned
arrival, so they include this wait. If they counted from the real start, a slow server would delay later
requests, and the measured times would be too short.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from minipar.errors import LONGEST_WORD, ConfigError, DataError, MiniparError, brief
from minipar.inference.queueing.latency import RequestTimes
from minipar.inference.queueing.workload import TimedRequest
from minipar.inference.requests import TextRequest
from minipar.records import is_whole
from minipar.serving.http import LONGEST_LINE, within
from minipar.serving.server import HOST
from minipar.untrusted.plain import parse_json

LARGEST_PAGE = 1 << 20                                              # bytes
LARGEST_SIZE = 1 << 30                                              # tokens: a context, a vocabulary
# largest number of lines in a stream; an event of a token has two lines
LINES_PER_TOKEN, MORE_LINES = 4, 100
MOST_CLIENTS = 1000                                                 # the usual limit is 1,024 open files
BROKEN = ("disconnected", "timeout", "invalid_response")            # names for results without a valid answer


@dataclass(frozen=True)
class ServedModel:
    """The model of a server, as the page /v1/models describes it. context, vocabulary: numbers of tokens."""

    name: str
    context: int
    vocabulary: int


@dataclass(frozen=True)
class ClientResult:
    """The result of one client. times: the times of its tokens, in seconds after the start of the run, or
    None if its text is not complete. refused: in this case, the name of the error, such as "queue_full" or
    one of BROKEN.
    """

    times: RequestTimes | None
    refused: str = ""


async def served_model(port: int, seconds: float) -> ServedModel:
    """Return the model of the server on this port. seconds: the longest time to wait. Raises ConfigError if
    no `minipar serve` answers.
    """
    try:
        status, body = await within(seconds, _page(port, "/v1/models"))
        (values,) = parse_json(body, "the page of models", DataError)["data"]
        name, sizes = values["id"], (values["context"], values["vocabulary"])
        if status != 200 or not isinstance(name, str) or not all(
                is_whole(size) and 1 <= size <= LARGEST_SIZE for size in sizes):
            raise ValueError("not a page of models")
        return ServedModel(brief(name, LONGEST_WORD), *sizes)
    except OSError as error:
        reason = error.strerror or str(error)
    except (MiniparError, ValueError, KeyError, TypeError, asyncio.IncompleteReadError,
            asyncio.LimitOverrunError):
        reason = "another program answers"
    raise ConfigError(f"no minipar serve on port {port}: {reason}; start one, or give its port", item="url")


async def drive(port: int, requests: Sequence[TimedRequest], concurrency: int, seconds: float
                ) -> list[ClientResult]:
    """Send all requests at their times. Returns their results in the same order.

    concurrency: the largest number of open requests. seconds: the longest time for a response.
    Raises ConfigError for an invalid concurrency.
    """
    if not 1 <= concurrency <= MOST_CLIENTS:
        raise ConfigError(f"concurrency is {concurrency}; it must be from 1 to {MOST_CLIENTS}",
                          item="concurrency")
    room, began = asyncio.Semaphore(concurrency), perf_counter()

    async def client(one: TimedRequest) -> ClientResult:
        await asyncio.sleep(one.arrival - (perf_counter() - began))
        async with room:
            tokens: list[float] = []
            try:
                refused = await within(seconds, _streamed(port, one.request, tokens))
            except TimeoutError:
                refused = "timeout"
            except (OSError, asyncio.IncompleteReadError):
                refused = "disconnected"
            except (MiniparError, ValueError, KeyError, TypeError, asyncio.LimitOverrunError):
                refused = "invalid_response"
        if refused:
            return ClientResult(None, refused)
        return ClientResult(RequestTimes(one.arrival, tuple(moment - began for moment in tokens)))

    return await asyncio.gather(*map(client, requests))


async def _streamed(port: int, request: TextRequest, tokens: list[float]) -> str:
    """Send a request, and append the arrival time of each token to `tokens`. Returns the name of the error
    that ended the stream, or "".
    """
    body = json.dumps({"prompt": list(request.prompt), "max_tokens": request.max_tokens, "stream": True,
                       "temperature": request.sampling.temperature, "seed": request.sampling.seed,
                       "logprobs": 0}).encode()  # with logprobs, each token has its own event
    reader, writer = await asyncio.open_connection(HOST, port, limit=LARGEST_PAGE)
    try:
        writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                     b"Content-Length: %d\r\n\r\n" % len(body) + body)
        if await _head(reader) != 200:
            return _code(await reader.read(LARGEST_PAGE))
        most = LINES_PER_TOKEN * request.max_tokens + MORE_LINES
        while (line := await reader.readuntil(b"\n")) != b"data: [DONE]\n":
            if (most := most - 1) < 0:                              # otherwise the stream could be endless
                return "invalid_response"
            if line.startswith(b'data: {"error"'):
                return _code(line.removeprefix(b"data: "))
            if line.startswith(b"data: "):
                tokens.append(perf_counter())
            if len(tokens) > request.max_tokens:                    # the server may never stop
                return "invalid_response"
    finally:
        writer.close()
    return "" if len(tokens) == request.max_tokens else "invalid_response"


async def _page(port: int, path: str) -> tuple[int, bytes]:
    """Return the status and the body of a page."""
    reader, writer = await asyncio.open_connection(HOST, port, limit=LONGEST_LINE)
    try:
        writer.write(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode())
        return await _head(reader), await reader.read(LARGEST_PAGE)
    finally:
        writer.close()


async def _head(reader: asyncio.StreamReader) -> int:
    """Read the head of a response and return its status. Raises ValueError if it is not HTTP."""
    head = await reader.readuntil(b"\r\n\r\n")
    if not (match := re.match(rb"HTTP/1\.1 (\d{3}) ", head)):
        raise ValueError("not a response of HTTP/1.1")
    return int(match[1])


def _code(body: bytes) -> str:
    """Return the name of the error in the body of a response."""
    values: Any = parse_json(body, "an error", DataError)
    return brief(str(values["error"]["code"]), LONGEST_WORD)
