"""The part of HTTP/1.1 (RFC 9112) that the server needs. Each connection has one request and is then closed.

A response without a length ends when its connection is closed, so a stream needs no chunks.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar

from minipar.errors import MiniparError, shown
from minipar.serving.limits import ServerLimits

Awaited = TypeVar("Awaited")
LONGEST_LINE, MOST_HEADERS = 8192, 64
FIELD_NAMES = {"samples": "n"}                  # option of a TextRequest -> its name in OpenAI's API
LINGER_SECONDS = 1.0                                                # time for the client to read and close
_REQUEST = re.compile(rb"([A-Z]{1,16}) (/[!-~]*) HTTP/1\.[01]\r?\n")
_LOOPBACK = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?", re.I)


class HttpError(MiniparError):
    """The error of a refused request. Its facts are the HTTP `status`, a `code` for programs, and the field,
    `item`.

    >>> HttpError("no room", status=429, code="queue_full").facts["code"]
    'queue_full'
    """


@dataclass(frozen=True)
class HttpRequest:
    """A request. `headers` maps lower-case names to values."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


async def read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
                       limits: ServerLimits) -> HttpRequest:
    """Read a request. Raises HttpError if it is invalid or too large, and ConnectionError if the client has
    left.
    """
    try:
        line = await reader.readuntil(b"\n")
        if not (match := _REQUEST.fullmatch(line)):
            raise _bad(f"not an HTTP/1.1 request: {shown(line[:80])}")
        headers = await _headers(reader)
        length = _length(match[1], headers, limits.body)
        if length and headers.get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await reader.readexactly(length)
    except asyncio.LimitOverrunError:
        raise HttpError(f"a line has more than {LONGEST_LINE} bytes", status=431,
                        code="headers_too_large") from None
    except asyncio.IncompleteReadError as error:
        raise ConnectionResetError("the client left before its request was complete") from error
    return HttpRequest(match[1].decode(), match[2].decode().partition("?")[0], headers, body)


async def _headers(reader: asyncio.StreamReader) -> dict[str, str]:
    headers: dict[str, str] = {}
    lines = 0
    while (line := (await reader.readuntil(b"\n")).rstrip(b"\r\n")):
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise _bad(f"not a header: {shown(line[:80])}")
        lines += 1                                                  # the same name may come again and again
        if lines > MOST_HEADERS:
            raise HttpError(f"more than {MOST_HEADERS} headers", status=431, code="headers_too_large")
        if headers.setdefault(name.lower(), value.strip()) != value.strip() and name.lower() in (
                "content-length", "host"):
            raise _bad(f"two different headers {name.lower()}")
    host = headers.get("host", "localhost")
    if not _LOOPBACK.fullmatch(host):  # a web page whose host name resolves to this machine
        raise HttpError(f"this server is for this machine only, not for the host {shown(host)}", status=403,
                        code="wrong_host")
    return headers


def _length(method: bytes, headers: Mapping[str, str], most: int) -> int:
    """Return the length of the body in bytes."""
    if "transfer-encoding" in headers:
        raise HttpError("a body in chunks is not supported; send a Content-Length", status=501,
                        code="no_chunks")
    length = headers.get("content-length", "0" if method != b"POST" else "")
    if not length:
        raise HttpError("a POST needs a Content-Length", status=411, code="length_required")
    if not re.fullmatch("[0-9]{1,400}", length):
        raise _bad(f"Content-Length is {shown(length)}; it must be a number of bytes")
    if int(length) > most:
        raise HttpError(f"the body has {length} bytes, more than the limit of {most}", status=413,
                        code="body_too_large")
    return int(length)


def response(status: int, body: bytes | None, kind: str = "application/json",
             extra: Mapping[str, str] | None = None) -> bytes:
    """Return a response. If `body` is None, a stream follows, which ends when the connection is closed."""
    headers = {"Content-Type": kind, "Connection": "close", "Cache-Control": "no-store", **(extra or {})}
    if body is not None:
        headers["Content-Length"] = str(len(body))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{lines}\r\n".encode("latin-1") + (body or b"")


def json_bytes(value: Any) -> bytes:
    """Return JSON in ASCII. Other characters are escaped, because half of a surrogate pair has no UTF-8."""
    return json.dumps(value, allow_nan=False).encode("ascii")


def error_body(error: MiniparError) -> dict[str, Any]:
    """Return an error in OpenAI's form: `code` is the name of the error, and `param` is the field."""
    status, item = status_of_error(error), error.facts.get("item")
    field = FIELD_NAMES.get(str(item))
    return {"error": {"message": f"{field}: {error}" if field else str(error),
                      "code": error.facts.get("code", "invalid_request"),
                      "type": "server_error" if status >= 500 else "invalid_request_error",
                      "param": field or item}}


def status_of_error(error: MiniparError) -> int:
    """Return the status of an HttpError, or 400 for other errors, since the request caused them."""
    status = error.facts.get("status", 400)
    return status if isinstance(status, int) else 500


def error_response(error: MiniparError) -> bytes:
    status = status_of_error(error)
    extra = {"Retry-After": "1"} if status in (429, 503) else {}
    if isinstance(allowed := error.facts.get("allow"), str):
        extra["Allow"] = allowed
    return response(status, json_bytes(error_body(error)), extra=extra)


async def send(writer: asyncio.StreamWriter, data: bytes, seconds: float) -> None:
    """Send data. Raises TimeoutError if the client does not read in time, and ConnectionError if it has left.
    """
    writer.write(data)
    await within(seconds, writer.drain())


async def within(seconds: float, work: Coroutine[Any, Any, Awaited]) -> Awaited:
    """Return the result of the work. If it takes longer, cancel the work and raise TimeoutError.
    (asyncio.wait_for raises another class before Python 3.11.)
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait((task,), timeout=seconds)
        if not task.done():
            raise TimeoutError(f"not finished after {seconds:g} seconds")
        return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def end_of(reader: asyncio.StreamReader) -> None:
    """Wait until the client closes its side. Data that it still sends is dropped."""
    try:
        while await reader.read(LONGEST_LINE):
            pass
    except ConnectionError:
        pass


async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    """Let the client read everything, then close. Closing with unread bytes would destroy the response in
    transit.
    """
    try:
        writer.write_eof()
        await within(LINGER_SECONDS, end_of(reader))
    except (OSError, RuntimeError):                                 # TimeoutError is an OSError
        pass
    try:
        writer.close()
        await within(seconds, writer.wait_closed())
    except OSError:
        pass
    finally:
        writer.transport.abort()


def _bad(text: str) -> HttpError:
    return HttpError(text, status=400, code="bad_request")
