"""Latency and goodput of each policy of serving, at several arrival rates: simulated.

    python benchmarks/queueing.py [--model llama-7b] [--machine a100-80g] [--rates 1 2 4 8 16] [--out DIR]
    python benchmarks/queueing.py --measure

The first simulates a model on a machine file: one table per rate, and pictures in --out. The second checks
the simulator on this machine: it measures forward passes of a small model, fits the seconds of a step, and
serves the same requests with the fit and with the model. Both have the same scheduler, so only the fit can be
wrong.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import minipar as mp
from minipar.inference.queueing.latency import LatencyLimits, LatencySummary, summary
from minipar.inference.queueing.policies import serving_policies
from minipar.inference.queueing.simulate import serve_stream, simulate_stream
from minipar.inference.queueing.step_time import RooflineTime, TimedRunner, fitted_time
from minipar.inference.queueing.workload import TimedRequest, TokenLengths, request_stream
from minipar.inference.runner import LocalRunner
from minipar.malloc import keep_freed_memory
from minipar.plan.machine import machine
from minipar.plan.models import find_model
from minipar.plots.queueing import draw_batch_sizes, draw_policies
from minipar.plots.save import save

BATCH, CHUNK = 64, 256
PROMPT, TEXT, SHARED = 400, 100, 128                                # tokens, means; SHARED begin all prompts
LIMITS = LatencyLimits(first_token=0.5, between=0.05)
SIZES = (1, 2, 4, 8, 16, 32, 64)
HEAD = f"{'policy':12}" + "".join(f"{head:>13}" for head in (
    "first 50 %", "95 %", "between 50 %", "99 %", "tokens/s", "goodput", "preempted"))


def requests_of(rate: float, count: int, context: int, vocabulary: int = 256) -> list[TimedRequest]:
    prompts = TokenLengths("lognormal", min(PROMPT, context // 4), context // 2)
    texts = TokenLengths("geometric", min(TEXT, context // 8), context // 2)
    return request_stream(
        rate, count, prompts, texts, vocabulary=vocabulary, shared=min(SHARED, context // 8)
    )


def row(name: str, found: LatencySummary, preempted: int) -> str:
    cells = (*(f"{1e3 * seconds:.1f} ms" for seconds in (
        found.first_token.median, found.first_token.p95, found.between.median, found.between.p99)),
        f"{found.tokens_per_second:.0f}", f"{found.goodput:.2f}", preempted)
    return f"{name:12}" + "".join(f"{cell:>13}" for cell in cells)


def simulated(options: argparse.Namespace) -> None:
    model, one = find_model(options.model), machine(options.machine)
    time = RooflineTime(model, one)
    blocks = max(model.context, options.small_cache) // 16
    policies = serving_policies(BATCH, model.context, CHUNK, blocks)
    curves: dict[str, list[tuple[float, float, float]]] = {name: [] for name in policies}
    for rate in options.rates:
        print(f"{rate:g} requests per second\n{HEAD}")
        requests = requests_of(rate, options.requests, model.context)
        for name, policy in policies.items():
            served = simulate_stream(model, requests, policy, time)
            found = summary(served.times, LIMITS)
            print(row(name, found, served.preemptions))
            curves[name].append((found.first_token.p95, found.between.p99, found.goodput))
    if options.out:
        save(draw_policies(options.rates, curves), Path(options.out) / "policies.png")
        crowd = requests_of(float("inf"), options.requests, model.context)
        full = [summary(simulate_stream(model, crowd, serving_policies(size, model.context, CHUNK)["chunked"],
                                        time).times, LIMITS) for size in SIZES]
        save(draw_batch_sizes(SIZES, [one.between.median for one in full],
                              [one.tokens_per_second for one in full]), Path(options.out) / "batch.png")


def measured(options: argparse.Namespace) -> None:
    keep_freed_memory()
    model = mp.GPT(mp.ModelConfig(vocabulary=256, context=256, layers=4, heads=4, width=256))
    policies = serving_policies(8, model.config.context, 64)

    def timed(rate: float, name: str) -> TimedRunner:
        runner = TimedRunner(LocalRunner(model, policies[name].options))
        served[name] = summary(serve_stream(runner, requests_of(rate, options.requests, 256),
                                            policies[name]).times, LIMITS)
        return runner

    served: dict[str, LatencySummary] = {}
    fit = fitted_time([step for name in policies for step in timed(float("inf"), name).steps])
    print(f"seconds of a step: {fit.fixed:.2e} + {fit.per_row:.2e} per row + {fit.per_pair:.2e} per pair")
    for rate in options.rates:
        print(f"{rate:g} requests per second\n{HEAD}")
        for name, policy in policies.items():
            timed(rate, name)
            found = simulate_stream(model.config, requests_of(rate, options.requests, 256), policy, fit)
            print(row(name, served[name], 0))
            print(row("  simulated", summary(found.times, LIMITS), found.preemptions))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="llama-7b")
    parser.add_argument("--machine", default="a100-80g")
    parser.add_argument("--rates", type=float, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument(
        "--small-cache", type=int, default=4096, help="tokens that the small cache has room for"
    )
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--out", help="a folder for pictures")
    options = parser.parse_args()
    (measured if options.measure else simulated)(options)


if __name__ == "__main__":
    main()
