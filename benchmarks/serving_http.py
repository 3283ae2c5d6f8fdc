"""What HTTP costs: tokens per second of the engine alone, and of clients of `minipar serve`'s server.

    python benchmarks/serving_http.py [--clients 1 8 32] [--tokens 100] [--rounds 5] [--width 128]

The server runs in a process of its own, the clients in this one. Every client streams its text. A round
measures the engine alone and the server once each, in turns; the table has medians.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import time
from multiprocessing.connection import Connection
from statistics import median

import minipar as mp
from minipar.data.tokenizer import ByteTokenizer
from minipar.inference.completion import complete
from minipar.inference.queueing.latency import LatencyLimits, summary
from minipar.inference.queueing.workload import TimedRequest
from minipar.malloc import keep_freed_memory
from minipar.serving.load import drive
from minipar.serving.server import HttpServer

PROMPT = "The sea was calm"


def engine(width: int) -> mp.Engine:
    model = mp.GPT(mp.ModelConfig(vocabulary=256, context=512, layers=4, heads=4, width=width))
    return mp.Engine(model, ByteTokenizer(), mp.EngineOptions(batch=32))


def serve(port: Connection, width: int) -> None:
    keep_freed_memory()
    asyncio.run(HttpServer(engine(width), "benchmark").run(0, port.send))


async def over_http(port: int, clients: int, tokens: int) -> tuple[float, float, float]:
    """(tokens per second, seconds to the first token, seconds between tokens), medians of the clients."""
    requests = [TimedRequest(0.0, one) for one in requests_of(clients, tokens)]
    times = [one.times for one in await drive(port, requests, clients, 600.0) if one.times]
    assert len(times) == clients, "every client gets all its tokens"
    found = summary(times, LatencyLimits())
    return found.tokens_per_second, found.first_token.median, median(
        (one.tokens[-1] - one.tokens[0]) / (tokens - 1) for one in times)


def requests_of(clients: int, tokens: int) -> list[mp.TextRequest]:
    prompt = ByteTokenizer().encode(PROMPT).tolist()
    return [mp.TextRequest(prompt, tokens, mp.Sampling(seed=seed), logprobs=0) for seed in range(clients)]


def engine_rate(one: mp.Engine, clients: int, tokens: int) -> float:
    requests = requests_of(clients, tokens)
    began = time.perf_counter()
    complete(one, requests)
    return clients * tokens / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--width", type=int, default=128)
    options = parser.parse_args()
    keep_freed_memory()
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    server = context.Process(target=serve, args=(there, options.width), daemon=True)
    server.start()
    port, one = here.recv(), engine(options.width)
    print("clients  engine tokens/s  HTTP tokens/s  ratio  first token ms  between tokens ms")
    for clients in options.clients:
        rounds = [(engine_rate(one, clients, options.tokens),
                   *asyncio.run(over_http(port, clients, options.tokens))) for _ in range(options.rounds)]
        bare, http, first, between = (median(values) for values in zip(*rounds, strict=True))
        print(f"{clients:7} {bare:16.0f} {http:14.0f} {median(r[1] / r[0] for r in rounds):6.2f} "
              f"{1000 * first:15.1f} {1000 * between:18.2f}")
    server.terminate()
    server.join()


if __name__ == "__main__":
    main()
