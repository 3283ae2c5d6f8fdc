"""Random requests to a server, from clients that run at the same time: fields with absurd values, spoilt
bytes, bytes that come in pieces, clients that leave.

    python -m tests.serving.fuzz [--count 3000] [--seed 0]

Each answer is a complete text, or an error of the client (status 4xx) in JSON; a client that does not leave
gets one. In the end no request waits, no block of the cache is in use, and the server still answers. Prints
the outcomes.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from minipar.serving.api import FIELDS
from tests.serving.running import LIMIT, Response, Running, running

VALUES = [None, True, False, 0, 1, 2, 3, 7, -1, 0.5, 1.0, 2.5, -0.0, 1e308, -1e308, 5e-324, 1e-300, 10**30,
          10**400, 2**128 - 1, float("nan"), float("inf"), float("-inf"), "", "a", "abc", "z", "0.5", "\x00", "\ud800", "a" * 300, "𝒳", [], [1],
          [1, 2, 3], [11], [-1], [True], [1.0], [[1]], ["a"], ["a", "b"], [""], [None], {}, {"a": 1}, "tiny",
          [1] * 30, ["c"] * 16]
CLIENTS = 8


def a_request(rng: random.Random) -> bytes:
    """A request for a completion: some fields absurd, and some of its bytes spoilt."""
    fields: dict[str, object] = {"prompt": "abc", "max_tokens": rng.randrange(1, 30),
                                "stream": rng.random() < 0.4}
    for name in rng.sample([*sorted(FIELDS), "extra"], rng.choice([0, 1, 1, 2, 3, 5])):
        fields[name] = rng.choice(VALUES)
    body = bytearray(json.dumps(fields).encode())
    head = bytearray(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                     b"Content-Length: %d\r\n\r\n" % len(body))
    for part, chance in ((body, 0.15), (head, 0.1)):
        if rng.random() < chance:
            for _ in range(rng.randrange(1, 4)):
                spoil(part, rng)
    return bytes(head + body)


def spoil(part: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(part))
    if rng.random() < 0.5:
        part[at] = rng.randrange(256)
    elif rng.random() < 0.5:
        part[at:at + rng.randrange(1, 20)] = b""
    else:
        part[at:at] = part[at:at + rng.randrange(1, 20)] or b" "


def pieces(data: bytes, rng: random.Random) -> Iterator[bytes]:
    """The bytes, mostly at once, sometimes in a few pieces."""
    edges = sorted(rng.choices(range(len(data)), k=rng.choice([0, 0, 0, 1, 3])))
    for start, stop in zip([0, *edges], [*edges, len(data)], strict=True):
        yield data[start:stop]


def outcome(server: Running, seed: str) -> str:
    """One client. Raises AssertionError, which names the seed, if the answer is wrong."""
    rng = random.Random(seed)
    data, leaves = a_request(rng), rng.random() < 0.15
    try:
        with server.connect(b"") as client:
            for piece in pieces(data, rng):
                client.sendall(piece)
                time.sleep(rng.choice([0, 0, 0.002]))
            if leaves:
                if rng.random() < 0.5:
                    client.recv(rng.randrange(1, 300))
                return "left"
            received = b""
            while piece := client.recv(65536):
                received += piece
        return judged(received)
    except (AssertionError, ValueError, KeyError, OSError) as error:
        raise AssertionError(
            f"seed {seed!r}: {type(error).__name__}: {error}; sent {data[-300:]!r}"
        ) from error


def judged(received: bytes) -> str:
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 "), f"no answer: {received[:100]!r}"
    status = int(head.split()[1])
    kind = next(line for line in head.split(b"\r\n") if line.startswith(b"Content-Type: "))
    answer = Response(status, kind.partition(b" ")[2].decode(), body)
    if status == 200:
        ends = [
            choice["finish_reason"]
            for event in (answer.events if b"event-stream" in kind else [answer.json])
            for choice in event["choices"]
        ]
        assert any(ends), "no text has an end"
        return "stream" if b"event-stream" in kind else "whole"
    assert 400 <= status < 500, f"status {status}: {answer.body[:200]!r}"
    return f"{status} {answer.code}"


def fuzz(count: int, seed: int) -> Counter[str]:
    """outcome -> how often. Raises AssertionError for a wrong answer, and if the server keeps anything."""
    with running(tokens=60, read_seconds=0.5, queue=200) as server:
        with ThreadPoolExecutor(CLIENTS) as clients:
            found = Counter(clients.map(lambda number: outcome(server, f"{seed} {number}"), range(count)))
        ends = time.monotonic() + LIMIT
        while server.pending or server.engine.memory.pool.in_use:
            assert time.monotonic() < ends, f"{server.pending} requests are left"
            time.sleep(0.01)
        assert server.complete(prompt="abc", max_tokens=3).status == 200 and server.failure is None
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for name, count in sorted(fuzz(options.count, options.seed).items()):
        print(f"{count:8} {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
