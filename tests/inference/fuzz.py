"""Random mixes of requests on random engines, against one request at a time with a contiguous cache.

    python -m tests.inference.fuzz                  # 2,000 mixes; prints the seed of each mix that differs
    python -m tests.inference.fuzz --first 1234 --count 1

A mix is drawn from its seed alone: the sizes of the model, the engine's options, prompts of all lengths with
equal beginnings, every sampling option, requests that arrive later, and some that are cancelled. Every tenth
mix is served by two ranks, with tensor or pipeline parallelism.
"""

from __future__ import annotations

import argparse
import sys
from copy import deepcopy
from dataclasses import replace

import numpy as np

import minipar as mp
from minipar.comm.protocol import Communicator
from minipar.inference.drafts import ModelDraft, NgramDraft, Speculator
from minipar.inference.options import EngineOptions
from minipar.inference.requests import TextRequest
from minipar.inference.stages import stages_of
from minipar.inference.stages_runner import StagesRunner
from minipar.nn import GPT
from minipar.proof.serving import TOLERANCE, RecordingEngine, ServingError, opinionated, written_plainly
from minipar.rng import stream
from tests.inference.models import random_requests

MODELS: dict[int, GPT] = {}                                         # context -> model
Tokens = dict[tuple[int, int], list[int]]                           # (request, sample) -> tokens
Served = tuple[RecordingEngine, Tokens, set[int]]                   # also the requests that were cancelled
DRAFTS: dict[int, GPT] = {}                                         # context -> its draft model


def random_options(rng: np.random.Generator, context: int) -> EngineOptions:
    size, batch = int(rng.choice([1, 2, 3, 5, 16])), int(rng.integers(3, 9))
    least = -(-context // size)                                     # for one full context
    return EngineOptions(batch=batch, rows=batch * int(rng.integers(1, 5)) + int(rng.integers(0, 9)),
                         block_size=size, blocks=least + int(rng.integers(0, 3 * least + 1)),
                         preemption=str(rng.choice(["recompute", "swap"])),
                         share_prefixes=bool(rng.random() < 0.7), invariant=bool(rng.random() < 0.15))


def random_speculator(rng: np.random.Generator, requests: list[TextRequest], options: EngineOptions,
                      context: int) -> Speculator | None:
    """None, an n-gram, or a model; a model only if all requests are greedy, since other tokens would differ.
    """
    count = options.rows // options.batch - 1
    if count < 1 or rng.random() < 0.3:
        return None
    if all(request.sampling.temperature == 0 for request in requests):
        draft = DRAFTS.setdefault(context, opinionated(context, layers=1))
        return ModelDraft(draft, options, count)
    return NgramDraft(count, int(rng.integers(1, 4)))


def serve(engine: RecordingEngine, requests: list[TextRequest], rng: np.random.Generator) -> Served:
    """Some requests arrive while others run, and some are cancelled."""
    waiting, tokens, cancelled = list(requests), Tokens(), set[int]()
    while waiting or engine.busy:
        while waiting and (rng.random() < 0.5 or not engine.busy):
            number = engine.add(waiting.pop(0))
            if rng.random() < 0.05:
                cancelled.add(number)
        for new in engine.step():
            tokens.setdefault((new.request, new.sample), []).append(new.token)
            if new.request in cancelled:
                engine.cancel(new.request)
    return engine, tokens, cancelled


def served(model: GPT, requests: list[TextRequest], options: EngineOptions, rng: np.random.Generator,
           layout: mp.Layout) -> list[Served]:
    """What each rank of the layout served. All ranks draw the same random numbers."""
    def on_rank(comm: Communicator) -> Served:
        mine = deepcopy(rng)
        speculator = random_speculator(mine, requests, options, model.config.context)
        runner: GPT | StagesRunner = model
        if layout.ranks > 1:
            stages = stages_of(model.config, model.state_dict(), mp.Grid(comm, layout))
            runner = StagesRunner(stages, options, int(mine.integers(3)))
        return serve(RecordingEngine(runner, options=options, speculator=speculator), requests, mine)

    return mp.run(layout.ranks, on_rank)


def random_layout(rng: np.random.Generator) -> mp.Layout:
    if rng.random() < 0.9:
        return mp.Layout()
    return mp.Layout(tp=2) if rng.random() < 0.5 else mp.Layout(pp=2)


def mix(seed: int) -> str:
    """What is wrong with the mix of this seed, "" for nothing."""
    rng = stream(seed, "mix")
    context = int(rng.choice([5, 12, 24]))
    model = MODELS.setdefault(context, opinionated(context))
    requests = random_requests(rng, context, int(rng.integers(2, 9)), greedy=bool(rng.random() < 0.2))
    layout, options = random_layout(stream(seed, "layout")), random_options(rng, context)
    if layout.tp > 1:                                               # its sums have other bits
        options = replace(options, invariant=False)
    try:
        (engine, tokens, cancelled), *others = served(model, requests, options, rng, layout)
    except ServingError as error:
        return str(error)
    if any(one[1:] != (tokens, cancelled) for one in others):
        return "the ranks have other tokens"
    for number, request in enumerate(requests):
        for sample in range(request.samples if number not in cancelled else 0):
            expected, logits = written_plainly(model, request, sample)
            if tokens[number, sample] != expected:
                return f"request {number}, sample {sample}: {tokens[number, sample]}, not {expected}"
            off = max(np.abs(a - b).max() for a, b in zip(engine.logits[number, sample], logits, strict=True))
            if not off <= TOLERANCE * max(1, np.abs(logits).max()):
                return f"request {number}, sample {sample}: logits are off by {off}"
            if (
                engine.options.invariant
                and sample == 0
                and (text := other_bits(model, engine, number, request))
            ):
                return text
    left = max(one.memory.pool.in_use for one, *_ in [(engine,), *others])
    return f"{left} blocks are still in use" if left else ""


def other_bits(model: GPT, engine: RecordingEngine, number: int, request: TextRequest) -> str:
    """Whether the request alone, in an invariant engine, has other bits."""
    single = RecordingEngine(model, options=EngineOptions(batch=64, rows=64, invariant=True))
    single.add(request)
    while single.busy:
        single.step()
    same = np.array_equal(single.logits[0, 0], engine.logits[number, 0])
    return "" if same else f"request {number} alone has other bits"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=2000, help="mixes")
    options = parser.parse_args()
    wrong = 0
    for seed in range(options.first, options.first + options.count):
        if text := mix(seed):
            wrong += 1
            print(f"seed {seed}: {text}")
    print(f"{options.count} mixes from seed {options.first}, {wrong} differ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
