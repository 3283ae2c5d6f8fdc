"""The server under load, in a process of its own, on this machine.

    python -m tests.serving                                # 200 clients for a minute
    python -m tests.serving --minutes 10 --clients 200

Clients come again and again: patient ones (whole and streamed), slow readers, some that leave in mid-stream,
some that send garbage or too much. Every answer must be complete and equal to the first with that seed, or an
error with a name. At the end SIGTERM comes in the middle. Prints outcomes, latency, and the server's memory
and open files as they grow. Exit status 1 if an answer is wrong or broken, or if memory or files grow after
the first quarter.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from minipar.serving.http import within
from minipar.serving.server import HOST
from tests.commands import command
from tests.serving.running import post
from tests.tiny import options

CODES = {"queue_full", "too_many_connections", "shutting_down"}
GROWTH = 8 << 20                                                    # bytes that the allocator may keep more
LIMIT = 600.0  # seconds for one answer; a busy machine takes long


class Load:
    """Clients until `ends`. outcomes: kind and result -> count; wrong: what must not be; seconds: of whole
    answers.
    """

    def __init__(self, port: int, ends: float):
        self.port, self.ends = port, ends
        self.outcomes: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.seconds: list[float] = []
        self._texts: dict[int, str] = {}                            # seed -> text

    async def client(self, number: int) -> None:
        rng = np.random.default_rng(number)
        kinds = {"whole": 5, "stream": 5, "leaver": 2, "slow": 1, "garbage": 1, "large": 1}
        weights = np.array(list(kinds.values())) / sum(kinds.values())
        while time.monotonic() < self.ends:
            kind = str(rng.choice(list(kinds), p=weights))
            try:
                result = await within(LIMIT, self._once(kind, int(rng.integers(40)), rng))
            except OSError as error:
                result = f"BROKEN {error!r}"
            self.outcomes[f"{kind}: {result}"] += 1
            if result.isupper() or result.startswith(("BROKEN", "WRONG")):
                self.wrong.append(f"{kind}: {result}")
            await asyncio.sleep(float(rng.random()) * 0.2)

    async def _once(self, kind: str, seed: int, rng: np.random.Generator) -> str:
        reader, writer = await asyncio.open_connection(HOST, self.port)
        began = time.monotonic()
        try:
            writer.write(self._bytes(kind, seed, rng))
            if kind == "leaver":
                await reader.read(50)
                return "left"
            if kind == "slow":
                await asyncio.sleep(float(rng.random()) * 3)
            answer = await reader.read(-1)
        finally:
            writer.close()
        result = self._judged(answer, seed, kind)
        if result == "complete" and kind in ("whole", "stream"):
            self.seconds.append(time.monotonic() - began)
        return result

    def _bytes(self, kind: str, seed: int, rng: np.random.Generator) -> bytes:
        if kind == "garbage":
            return rng.bytes(int(rng.integers(1, 500))) + b"\n"
        if kind == "large":
            return b"POST /v1/completions HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n" + b"x" * 5000
        return post(prompt="the fox", max_tokens=8 + seed, seed=seed, temperature=1.2, stream=kind != "whole")

    def _judged(self, answer: bytes, seed: int, kind: str) -> str:
        head, _, body = answer.partition(b"\r\n\r\n")
        if not head:
            return "BROKEN no answer"
        status, text = int(head.split()[1]), body.decode()
        lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
        if status != 200:
            code = json.loads(text)["error"]["code"]
            expected = code in CODES or kind in ("garbage", "large") and 400 <= status < 500
            return f"{status} {code}" if expected else f"WRONG {status} {code}"
        if b"event-stream" in head and lines[-1] != "[DONE]":
            last = json.loads(lines[-1])
            return last["error"]["code"] if "error" in last else "BROKEN stream without end"
        events = [json.loads(line) for line in lines if line != "[DONE]"]
        whole = "".join(event["choices"][0]["text"] for event in events)
        same = self._texts.setdefault(seed, whole) == whole and len(whole) == 8 + seed
        return "complete" if same else f"WRONG text for seed {seed}"


def memory_of(process: int) -> int:
    """Bytes of the process in memory."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024


async def observed(load: Load, server: subprocess.Popen[str], clients: int) -> tuple[list[int], list[int]]:
    """(memory, open files) of the server, at the start, after each quarter of the time, and with all clients gone."""
    memory, files = [], []

    def note() -> None:
        memory.append(memory_of(server.pid))
        files.append(len(os.listdir(f"/proc/{server.pid}/fd")))

    note()
    quarter = (load.ends - time.monotonic()) / 4
    running = [asyncio.ensure_future(load.client(number)) for number in range(clients)]
    for _ in range(4):
        await asyncio.sleep(quarter)
        note()
    await asyncio.gather(*running)
    await asyncio.sleep(2)
    note()
    return memory, files


async def ended(load: Load, server: subprocess.Popen[str]) -> int:
    """SIGTERM in the middle of 100 requests; returns the exit status."""
    load.ends = 0.0
    asked = [asyncio.ensure_future(load._once("stream" if number % 2 else "whole", number % 40,
                                              np.random.default_rng(number))) for number in range(100)]
    await asyncio.sleep(0.5)
    server.send_signal(signal.SIGTERM)
    for result in await asyncio.gather(*asked, return_exceptions=True):
        refused_connection = isinstance(result, ConnectionRefusedError)  # it came after the end
        load.outcomes[f"SIGTERM: {result!r}"] += 1
        if not refused_connection and result not in ("complete", "503 shutting_down", "shutting_down"):
            load.wrong.append(f"SIGTERM: {result!r}")
    return await asyncio.to_thread(server.wait, 60)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--queue", type=int, default=150, help="of the server: some requests are refused")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        subprocess.run(
            command("train", *options(Path(folder)), "--out", run), check=True, capture_output=True
        )
        with subprocess.Popen(
            command("serve", "--run", run, "--port", 0, "--queue", given.queue, "--drain", 1),
            text=True,
            stdout=subprocess.PIPE,
        ) as server:
            assert server.stdout is not None
            found = re.search(r":(\d+);", server.stdout.readline())
            assert found
            load = Load(int(found[1]), time.monotonic() + 60 * given.minutes)
            memory, files = asyncio.run(observed(load, server, given.clients))
            status = asyncio.run(ended(load, server))
    for name, count in sorted(load.outcomes.items()):
        print(f"{count:8} {name}")
    p50, p99 = np.percentile(load.seconds, [50, 99])
    print(f"{len(load.seconds)} whole answers: {len(load.seconds) / given.minutes / 60:.0f} per second, "
          f"median {p50:.2f} s, 99 % {p99:.2f} s")
    print("memory in MiB:", *(f"{size / 2**20:.1f}" for size in memory), "; open files:", *files)
    print(f"exit status {status}; wrong: {load.wrong[:5]} ({len(load.wrong)})")
    grown = memory[-1] - memory[1] > GROWTH or files[-1] > files[0]
    return int(bool(load.wrong) or grown or status not in (0, 128 + signal.SIGTERM))


if __name__ == "__main__":
    sys.exit(main())
