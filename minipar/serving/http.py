"""Reads requests and writes responses of HTTP/1.1 (RFC 9112), as far as the server needs it.

Each connection is closed after one request. A response without a length ends when its connection is closed.
So a stream needs no chunked encoding.
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
    """Raised if a request is refused. Its `facts` are the HTTP `status`, a `code` for programs, and `item`,
    the name of the wrong field.

    >>> HttpError("no room", status=429, code="queue_full").facts["code"]
    'queue_full'
    """


@dataclass(frozen=True)
class HttpRequest:
    """An HTTP request. headers: name in lower case -> value."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


async def read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
                       limits: ServerLimits) -> HttpRequest:
    """Read a request. Raises HttpError if it is invalid or too large, and ConnectionError if the client has
    closed the connection.
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
    if not _LOOPBACK.fullmatch(host):  # another host: a web page could use it to reach this server
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
    """Return the bytes of a response. If `body` is None, a stream will follow, and end with the connection.
    """
    headers = {"Content-Type": kind, "Connection": "close", "Cache-Control": "no-store", **(extra or {})}
    if body is not None:
        headers["Content-Length"] = str(len(body))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{lines}\r\n".encode("latin-1") + (body or b"")


def json_bytes(value: Any) -> bytes:
    """Return JSON in ASCII. Other characters are escaped, because UTF-8 cannot encode half of a surrogate
    pair.
    """
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
    """Return the HTTP status of an error. If the error has no status, the request caused it,
    and the status is 400.
    """
    status = error.facts.get("status", 400)
    return status if isinstance(status, int) else 500


def error_response(error: MiniparError) -> bytes:
    status = status_of_error(error)
    extra = {"Retry-After": "1"} if status in (429, 503) else {}
    if isinstance(allowed := error.facts.get("allow"), str):
        extra["Allow"] = allowed
    return response(status, json_bytes(error_body(error)), extra=extra)


async def send(writer: asyncio.StreamWriter, data: bytes, seconds: float) -> None:
    """Send data. Raises TimeoutError if the client does not read within `seconds`, and ConnectionError if the
    client has closed the connection.
    """
    writer.write(data)
    await within(seconds, writer.drain())


async def within(seconds: float, work: Coroutine[Any, Any, Awaited]) -> Awaited:
    """Run `work` and return its result. If it takes more than `seconds`, cancel it and raise TimeoutError.
    (Before Python 3.11, asyncio.wait_for raises another class.)
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
    """Wait until the client closes its side of the connection. Data that still arrives is dropped."""
    try:
        while await reader.read(LONGEST_LINE):
            pass
    except ConnectionError:
        pass


async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    """Wait until the client has read the response, at most LINGER_SECONDS, and close the connection. If a
    connection is closed while received bytes are unread, the system may drop the response.
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
