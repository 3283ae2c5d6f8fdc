"""Decoding many requests together: against one after the other, bare products, and the ways of the engine.

    python benchmarks/serving.py [--config gpt2 small] [--prompt 32] [--rounds 9] [--restarts 3]

One decoding step of every contender is a round: one core, in turns, medians of fresh processes (README.md
beside this file). "plain" is the step of `generate`: one request, a contiguous cache. Hugging Face's
`generate` is measured too where `torch` and `transformers` are installed; it has the same weights and must
write the same tokens.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

import numpy as np
from hugging_face import INSTALLED, SteppedGenerate, assert_equal_texts, torch_gpt2
from turns import in_fresh_processes, measure, milliseconds, ratios

import minipar as mp
from minipar.compress.quantize.model import quantize_weights
from minipar.config import GPT2
from minipar.inference.kv_cache import KVCache
from minipar.inference.sampling import choose
from minipar.malloc import keep_freed_memory

CONFIGS = {"gpt2": GPT2, "small": mp.ModelConfig(vocabulary=65, context=512, layers=4, heads=4, width=128)}
GREEDY = mp.Sampling(temperature=0)
BATCHES = (1, 16, 32)
STEPS = 30                                                          # the most of one contender
Contender = Callable[[], object]


def prompts(config: mp.ModelConfig, batch: int, length: int) -> list[list[int]]:
    tokens: list[list[int]] = (
        np.random.default_rng(1).integers(config.vocabulary, size=(batch, length)).tolist()
    )
    return tokens


def plain_step(model: mp.GPT, length: int) -> Contender:
    """One token of one request, as `generate` computes it."""
    cache, sampling = KVCache(model), GREEDY
    state = [choose(cache.logits(np.array(prompts(model.config, 1, length)))[0], sampling, [],
                    np.random.default_rng(0))]

    def step() -> None:
        logits = cache.logits(np.array([[state[0]]]))[0]
        state[0] = choose(logits, sampling, [], np.random.default_rng(0))
    return step


def engine_step(model: mp.GPT, batch: int, length: int, scattered: bool = False, **options: Any) -> Contender:
    """A step in which each of `batch` sequences gets a token; at most STEPS. scattered: no two blocks are
    neighbours. The cache has just the blocks that this needs.
    """
    size = options.setdefault("block_size", 16)
    blocks = batch * -(-(length + STEPS) // size) * (2 if scattered else 1)
    engine = mp.Engine(
        model, options=mp.EngineOptions(batch=batch, rows=512, share_prefixes=False, blocks=blocks, **options)
    )
    if scattered:
        pool, size = engine.memory.pool, engine.memory.pool.count
        pool._gap = lambda: int(np.flatnonzero(pool._free)[-1])     # type: ignore[method-assign]
        pool._free[np.arange(0, size, 2)] = False                   # every second block is somebody else's
    for prompt in prompts(model.config, batch, length):
        engine.add(mp.TextRequest(prompt, STEPS, GREEDY))
    while engine.scheduler.waiting or any(one.pending > 1 for one in engine.scheduler.running):
        engine.step()
    return engine.step


def decoding_weights(model: mp.GPT) -> list[np.ndarray]:
    """The weights [I, O] of all products of a row with the model; attention has others."""
    weights = [layer.weight.data for block in model.blocks
               for layer in (block.attention.qkv, block.attention.out, block.mlp.up, block.mlp.down)]
    return [*weights, model.head.weight.data.T]


def bare_step(model: mp.GPT, batch: int) -> Contender:
    """The products of a decoding step, without attention."""
    weights = decoding_weights(model)
    rows = {w.shape[0]: np.ones((batch, w.shape[0]), w.dtype) for w in weights}

    def step() -> None:
        for w in weights:
            rows[w.shape[0]] @ w
    return step


def contenders(config: mp.ModelConfig, length: int) -> dict[str, Contender]:
    model = mp.GPT(config)
    calls: dict[str, Contender] = {"plain": plain_step(model, length)}
    calls |= {f"engine {batch}": engine_step(model, batch, length) for batch in BATCHES}
    calls |= {f"bare {batch}": bare_step(model, batch) for batch in BATCHES}
    most = BATCHES[-1]
    calls[f"contiguous {most}"] = engine_step(model, most, length, block_size=length + STEPS)
    calls[f"scattered {most}"] = engine_step(model, most, length, scattered=True)
    calls[f"int8 cache {most}"] = engine_step(model, most, length, kv="int8")
    calls |= {f"invariant {batch}": engine_step(model, batch, length, invariant=True) for batch in (1, most)}
    small = mp.GPT(config)
    quantize_weights(small)
    calls[f"int8 weights {most}"] = engine_step(small, most, length)
    if INSTALLED:
        other, texts = torch_gpt2(model), prompts(config, most, length)
        assert_equal_texts(model, other, texts)
        calls |= {
            f"Hugging Face {batch}": SteppedGenerate(other, texts[:batch], STEPS).step for batch in BATCHES
        }
    return calls


def report(config: str, runs: list[dict[str, list[float]]]) -> None:
    """The milliseconds of every contender, and the ratios of the claims: median, lowest and highest run."""
    def ratio(name: str, base: str, factor: float = 1) -> str:
        values = [factor * value for value in ratios(runs, name, base)]
        return f"{values[len(values) // 2]:.2f} ({values[0]:.2f} to {values[-1]:.2f})"

    print(f"{config}: milliseconds of a decoding step")
    for name in runs[0]:
        print(f"  {name:20}{milliseconds(runs, name):9.1f}")
    print(f"  one request, time relative to generate      {ratio('engine 1', 'plain')}")
    for batch in BATCHES[1:]:
        print(f"  gain of batch {batch} over generate             {ratio('plain', f'engine {batch}', batch)}")
        print(f"    over the engine's one request             {ratio('engine 1', f'engine {batch}', batch)}")
        print(f"    that bare products allow                  {ratio('bare 1', f'bare {batch}', batch)}")
    most = BATCHES[-1]
    for name, base in (("engine", "contiguous"), ("scattered", "contiguous"), ("int8 cache", "engine"),
                       ("int8 weights", "engine"), ("invariant", "engine")):
        print(f"  {f'{name} {most}, relative to {base}':44}{ratio(f'{name} {most}', f'{base} {most}')}")
    print(f"  {'invariant 1, relative to engine':44}{ratio('invariant 1', 'engine 1')}")
    if INSTALLED:
        print(f"  {'generate, relative to Hugging Face 1':44}{ratio('plain', 'Hugging Face 1')}")
        for batch in BATCHES:
            name = f"engine {batch}, relative to Hugging Face {batch}"
            print(f"  {name:44}{ratio(f'engine {batch}', f'Hugging Face {batch}')}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", nargs="+", choices=CONFIGS, default=["gpt2"])
    parser.add_argument("--prompt", type=int, default=32, help="tokens of each prompt")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--restarts", type=int, default=3)
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        keep_freed_memory()
        calls = contenders(CONFIGS[options.config[0]], options.prompt)
        print(json.dumps(measure(calls, options.rounds, warm_up=1)))
        return
    for config in options.config:
        words = ["--once", "--config", config, "--prompt", str(options.prompt), "--rounds",
                 str(options.rounds)]
        report(config, in_fresh_processes(__file__, words, options.restarts))


if __name__ == "__main__":
    main()
