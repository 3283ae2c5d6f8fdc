"""`minipar bench-serve` measures the latency and the throughput of `minipar serve`.

    minipar bench-serve --run runs/first --rate 8

The command sends requests with random prompts at random times (a Poisson process). It sends them to a running
server (--url), or to a server that it starts (--run). First, one request warms the server up; it is not
counted. The goodput counts only the requests that meet both time limits (--first-limit, --between-limit).
The exit status is 1 if a response broke off.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from minipar.cli.files import require_file, write_json
from minipar.cli.options import word
from minipar.cli.ranks import seconds
from minipar.comm.children import isolated
from minipar.comm.held_signals import child_process
from minipar.errors import ConfigError, shown
from minipar.inference.queueing.latency import LatencyLimits, LatencySummary, summary
from minipar.inference.queueing.workload import DISTRIBUTIONS, TokenLengths, request_stream
from minipar.serving.load import BROKEN, ClientResult, ServedModel, drive, served_model
from minipar.serving.server import HOST

# PROMPT: mean number of tokens of a prompt. A generated text has at most TAIL times the mean length.
PROMPT, TAIL = 16, 8
LONGEST_SECONDS = 1e6  # largest mean time of the last arrival, about 12 days
STOP_SECONDS = 15.0  # longest time for a server to end after SIGTERM


def add_options(parser: argparse.ArgumentParser) -> None:
    limits = LatencyLimits()
    server = parser.add_mutually_exclusive_group(required=True)
    server.add_argument("--url", type=word, help="a running minipar serve, such as http://127.0.0.1:8000")
    server.add_argument("--run", type=word, dest="folder", metavar="DIR",
                        help="start a server for this run, and stop it afterwards")
    parser.add_argument("--batch", type=int, metavar="N",
                        help="with --run: number of texts that are computed together (default: that of "
                             "minipar serve)")
    parser.add_argument("--rate", type=float, default=4.0,
                        help="requests per second (default 4); inf: all at once")
    parser.add_argument("--requests", type=int, default=100, metavar="N",
                        help="number of requests (default 100)")
    parser.add_argument("--concurrency", type=int, default=64, metavar="N",
                        help="largest number of open requests; other requests wait, and the waiting time "
                             "counts (default 64)")
    parser.add_argument("--prompt-tokens", type=int, metavar="N",
                        help=f"mean length of prompts (default {PROMPT}, or the context if it is shorter)")
    parser.add_argument("--tokens", type=int, default=32, metavar="N",
                        help="mean length of generated texts (default 32)")
    parser.add_argument("--lengths", choices=DISTRIBUTIONS, default="geometric",
                        help="distribution of both lengths (default geometric)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the requests (default 0)")
    parser.add_argument("--first-limit", type=seconds, default=limits.first_token, metavar="SECONDS",
                        help=f"limit for the goodput: time to first token (default {limits.first_token:g})")
    parser.add_argument("--between-limit", type=seconds, default=limits.between, metavar="SECONDS",
                        help=f"limit for the goodput: mean time between tokens (default {limits.between:g})")
    parser.add_argument("--timeout", type=seconds, default=60.0, metavar="SECONDS",
                        help="longest time for a response (default 60)")
    parser.add_argument("--json", type=word, metavar="FILE", help="also write the numbers to this file")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    if options.rate > 0 and options.requests > LONGEST_SECONDS * options.rate:
        raise ConfigError(f"{shown(options.requests)} requests at {options.rate:g} per second take more than "
                          f"{LONGEST_SECONDS:,.0f} seconds; choose a higher --rate", item="rate")
    if options.json:
        require_file(options.json)
    if options.url:
        if options.batch is not None:
            raise ConfigError("--batch is only for --run; a running server has its own batch size")
        return _measured(_port_of(options.url), options)
    with _started(options) as port:
        return _measured(port, options)


def _port_of(url: str) -> int:
    """Return the port of a URL. Raises ConfigError for a URL of another machine, or without a port."""
    match = re.fullmatch(r"(?:http://)?(?:localhost|127\.0\.0\.1):(\d{1,5})/?", url)
    if not match or not 0 < int(match[1]) < 1 << 16:
        raise ConfigError(f"--url {url} is not a server of this machine; give it as http://{HOST}:8000",
                          item="url")
    return int(match[1])


@contextmanager
def _started(options: argparse.Namespace) -> Iterator[int]:
    """A context in which a server runs; gives the server's port. Raises ConfigError if it does not start.
    """
    words = ["--run", options.folder, "--port", "0"] + (
        [] if options.batch is None else ["--batch", str(options.batch)])
    with tempfile.TemporaryFile("w+") as said, \
            child_process(isolated("minipar", "serve", *words), _stop, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, encoding="utf-8", errors="backslashreplace",
                          stderr=said) as server:
        line = server.stdout.readline() if server.stdout else ""
        if not (match := re.search(r":(\d+);", line)):
            server.wait()
            said.seek(0)
            reason = said.read().strip().removeprefix("minipar serve: ").splitlines()
            raise ConfigError(reason[-1] if reason else "minipar serve does not start; run it by hand")
        yield int(match[1])
        _stop(server)


def _stop(server: subprocess.Popen[str]) -> None:
    server.terminate()
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    if server.stdout:
        server.stdout.close()


def _measured(port: int, options: argparse.Namespace) -> int:
    limits = LatencyLimits(options.first_limit, options.between_limit)
    model, results = asyncio.run(_driven(port, options))
    complete = [one.times for one in results if one.times is not None]
    refused = Counter(one.refused for one in results if one.times is None)
    names = ", ".join(f"{name} {count}" for name, count in sorted(refused.items()))
    if not complete:
        raise ConfigError(f"no text was complete, so there is nothing to measure: {names}")
    found = summary(complete, limits)
    print("\n".join(_table(model, found, limits, refused.total(), names)))
    if options.json:
        write_json(options.json, _plain(found) | {"refused": dict(refused)})
    return int(any(refused[name] for name in BROKEN))


async def _driven(port: int, options: argparse.Namespace) -> tuple[ServedModel, list[ClientResult]]:
    model = await served_model(port, options.timeout)
    prompt = min(PROMPT, model.context) if options.prompt_tokens is None else options.prompt_tokens
    prompts = TokenLengths(options.lengths, prompt, model.context)
    texts = TokenLengths(options.lengths, options.tokens, TAIL * max(1, options.tokens))
    requests = request_stream(options.rate, options.requests, prompts, texts, vocabulary=model.vocabulary,
                              seed=options.seed)
    first = request_stream(float("inf"), 1, prompts, texts, vocabulary=model.vocabulary, seed=options.seed)
    await drive(port, first, 1, options.timeout)
    return model, await drive(port, requests, options.concurrency, options.timeout)


def _table(model: ServedModel, found: LatencySummary, limits: LatencyLimits, refused: int, names: str
           ) -> Iterator[str]:
    yield f"{found.requests} texts of {model.name} in {found.seconds:.2f} s"
    yield f"{'':22}{'median':>10}{'95 %':>10}{'99 %':>10}"
    for name, times in (("time to first token", found.first_token), ("time between tokens", found.between),
                        ("request latency", found.latency)):
        yield f"{name:22}" + "".join(f"{_milliseconds(seconds):>10}" for seconds in times)
    yield f"{'tokens per second':22}{found.tokens_per_second:>10.1f}"
    yield f"{'requests per second':22}{found.requests_per_second:>10.2f}"
    yield (f"{'goodput':22}{found.goodput:>10.2f}  requests per second: first token in "
           f"{limits.first_token:g} s,")
    yield f"{'':34}{limits.between:g} s between tokens"
    yield f"{'refused':22}{refused:>10}" + (f"  {names}" if names else "")


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.1f} ms" if seconds == seconds else "-"     # NaN if all texts have one token


def _plain(found: LatencySummary) -> dict[str, Any]:
    """Return the summary as dictionaries."""
    return {name: value._asdict() if hasattr(value, "_asdict") else value
            for name, value in found._asdict().items()}
