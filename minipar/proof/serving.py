"""Checks that the serving engine writes the same text as a plain program for one request at a time.

The plain program has a contiguous KV cache. Each check uses one mechanism of the engine intensively. Tokens
must be equal. Logits, in float64, must be equal within 1e-12 of the largest logit. The simplest check runs
first, so the first failed check names the broken mechanism (see serving_mutants.py).
"""

# V: size of the vocabulary, T: number of tokens

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from minipar.autograd import Tensor, no_grad
from minipar.compress.quantize.affine import quantize
from minipar.config import ModelConfig
from minipar.errors import MiniparError
from minipar.inference.drafts import ModelDraft, NgramDraft, Speculator
from minipar.inference.engine import Engine
from minipar.inference.kv_cache import KVCache
from minipar.inference.options import EngineOptions
from minipar.inference.quantized_cache import ROWS
from minipar.inference.requests import NewToken, Sampling, TextRequest
from minipar.inference.sampling import choose
from minipar.inference.sequence import TextSequence, random_numbers
from minipar.inference.speculation import accept
from minipar.nn import GPT

TOLERANCE = 1e-12
VOCABULARY, CONTEXT = 11, 24
MOST_STEPS = 2000                                                   # a broken engine may never finish
GREEDY, WARM = Sampling(temperature=0), Sampling(temperature=0.9, seed=5)


class ServingError(MiniparError):
    """The engine wrote a wrong token or logit, or did not free its blocks."""


class RecordingEngine(Engine):
    """An engine that keeps the logits of every token, and checks its block tables after every step."""

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        self.logits: dict[tuple[int, int], list[np.ndarray]] = {}  # logits [V] by (request, sample)

    def _append(self, sequence: TextSequence, logits: np.ndarray, token: int) -> NewToken:
        self.logits.setdefault((sequence.number, sequence.sample), []).append(logits)
        return super()._append(sequence, logits, token)

    def step(self) -> list[NewToken]:
        tokens = super().step()
        require_sound_memory(self)
        return tokens


class RoundedCache(KVCache):
    """A plain cache that rounds keys and values to 8 bits before it stores them."""

    def _attend(self, layer: int, qkv: Tensor, heads: int) -> Tensor:
        q, *new = np.split(qkv.data, 3, axis=-1)
        K = q.shape[-1] // heads
        rounded = [quantize(x.reshape(-1, K), ROWS).dequantize().reshape(x.shape) for x in new]
        return super()._attend(layer, Tensor(np.concatenate([q, *rounded], axis=-1)), heads)


def require_sound_memory(engine: Engine) -> None:
    """Raises ServingError if a sequence has an unused block, or if the reference counts do not match the
    block tables.
    """
    pool, used = engine.memory.pool, list[int]()
    for sequence in [*engine.scheduler.running, *engine.scheduler.waiting]:
        waste = len(sequence.table) * pool.size - sequence.computed
        if sequence.swapped is None and not 0 <= waste < pool.size:
            raise ServingError(f"request {sequence.number} wastes {waste} tokens of blocks of {pool.size}")
        used += sequence.table
    if pool.references != np.bincount(np.array(used, int), minlength=pool.count).tolist():
        raise ServingError("the reference counts of the blocks do not match the tables")


def opinionated(context: int = CONTEXT, dtype: Any = np.float64, **sizes: Any) -> GPT:
    """Returns a small model with large weights, so that some tokens are clearly more likely than others.
    """
    config = replace(ModelConfig(VOCABULARY, context, layers=2, heads=2, width=8), **sizes)
    model = GPT(config, seed=4, dtype=dtype)
    for p in model.parameters():
        p.data *= 20 if p.ndim > 1 else 1
    return model


def written_plainly(model: GPT, request: TextRequest, sample: int = 0,
                    cache_type: type[KVCache] = KVCache) -> tuple[list[int], list[np.ndarray]]:
    """Writes one sample of one request with a contiguous cache. When the context is full, only the newer half
    of the text is kept. Returns the tokens, and for each token the logits [V] from which it was chosen.
    """
    rng, context = random_numbers(request, sample), model.config.context
    text, tokens, all_logits = list(request.prompt), list[int](), list[np.ndarray]()
    cache, new = cache_type(model), list(request.prompt)
    while len(tokens) < request.max_tokens:
        all_logits.append(cache.logits(np.array([new]))[0])
        tokens.append(choose(all_logits[-1], request.sampling, text, rng))
        text, new = [*text, tokens[-1]], tokens[-1:]
        if cache.length == context:
            text, cache = text[-max(context // 2, 1):], cache_type(model)
            new = text
    return tokens, all_logits


def require_written(model: GPT, requests: Sequence[TextRequest], options: EngineOptions,
                    speculator: Speculator | None = None, cache_type: type[KVCache] = KVCache) -> Engine:
    """Serve the requests and return the engine. One request arrives in each step.

    Raises ServingError if a token or a logit differs from the plain version, or if blocks are not freed at
    the end.
    """
    engine = RecordingEngine(model, options=options, speculator=speculator)
    waiting, tokens = list(requests), dict[tuple[int, int], list[int]]()
    for _ in range(MOST_STEPS):
        if waiting:
            engine.add(waiting.pop(0))
        for new in engine.step():
            tokens.setdefault((new.request, new.sample), []).append(new.token)
        if not engine.busy and not waiting:
            break
    for number, request in enumerate(requests):
        for sample in range(request.samples):
            expected, logits = written_plainly(model, request, sample, cache_type)
            if tokens.get((number, sample)) != expected:
                raise ServingError(f"request {number}, sample {sample}: tokens differ from the plain version")
            off = np.abs(np.array(logits) - engine.logits[number, sample]).max()
            if not off <= TOLERANCE * max(1, np.abs(logits).max()):
                raise ServingError(f"request {number}, sample {sample}: logits are off by {off}")
    if engine.memory.pool.in_use:
        raise ServingError(f"{engine.memory.pool.in_use} blocks are not freed")
    return engine


def _prompts(*lengths: int, sampling: Sampling = WARM, tokens: int = 9,
             samples: int = 1) -> list[TextRequest]:
    """Returns one request per length. The prompts have these lengths and differ."""
    return [TextRequest([(3 * number + 5 * at + at * at) % VOCABULARY for at in range(length)], tokens,
                        replace(sampling, seed=number), samples) for number, length in enumerate(lengths)]


def cached() -> None:
    """Serves one request in one large block. The logits must equal the logits without a cache."""
    model, request = opinionated(), TextRequest([1, 2, 3], 12, GREEDY)
    engine = RecordingEngine(model, options=EngineOptions(batch=1, block_size=CONTEXT))
    engine.add(request)
    text = list(request.prompt)
    while engine.busy:
        text += [new.token for new in engine.step()]
    with no_grad():
        whole = model(np.array([text[:-1]])).data[0, len(request.prompt) - 1 :]
    if not np.abs(np.array(engine.logits[0, 0]) - whole).max() <= TOLERANCE * np.abs(whole).max():
        raise ServingError("the cache changes logits")


def paged() -> None:
    """Serves texts with a cache of blocks of three tokens. The blocks of one text lie in any order."""
    require_written(opinionated(), _prompts(5, 11, 2, 7), EngineOptions(batch=4, block_size=3, blocks=22))


def chunked() -> None:
    """Computes prompts in several steps, while other requests generate tokens."""
    require_written(opinionated(), _prompts(2, 14, 12, 9), EngineOptions(batch=4, rows=7))


def context_end() -> None:
    """Serves texts that become longer than the context."""
    require_written(opinionated(), _prompts(20, 24, 3, tokens=18), EngineOptions(batch=3, block_size=5))


def prefixes() -> None:
    """Serves prompts with equal beginnings, and prompts that are equal only after different beginnings."""
    same, other = [1, 2, 3, 4, 5, 6, 7, 8], [9, 9, 9, 4, 5, 6, 7, 8]
    requests = [TextRequest(beginning[:length], 5, WARM) for beginning in (same, other, same, other[3:])
                for length in (7, 8, 5)]
    engine = require_written(opinionated(), requests, EngineOptions(batch=6, block_size=3))
    if not engine.memory.shared_tokens:
        raise ServingError("no prefix was shared")


def samples() -> None:
    """Serves several samples per prompt. They share the prompt's last block until one of them copies it."""
    engine = require_written(opinionated(), _prompts(4, 7, samples=3), EngineOptions(batch=6, block_size=3))
    if not engine.memory.copies:
        raise ServingError("no block was copied")


def _preempted(preemption: str) -> None:
    options = EngineOptions(batch=5, rows=12, block_size=2, blocks=13, preemption=preemption,
                            share_prefixes=False)
    engine = require_written(opinionated(), _prompts(5, 3, 8, 6, 2, tokens=12), options)
    if not engine.memory.preemptions:
        raise ServingError("no sequence was preempted")


def recomputed() -> None:
    """Serves requests with too few blocks. Preempted sequences are recomputed."""
    _preempted("recompute")


def swapped() -> None:
    """Serves requests with too few blocks. The blocks of preempted sequences are swapped out and in again."""
    _preempted("swap")


def evicted() -> None:
    """Serves requests with shared prefixes in a small pool, which must evict the prefixes often."""
    requests = [request for _ in range(3) for request in _prompts(9, 12, 7, 10, tokens=4)]
    engine = require_written(opinionated(), requests, EngineOptions(batch=3, block_size=2, blocks=20))
    if not engine.memory.pool.evictions:
        raise ServingError("no block was evicted")


def speculated() -> None:
    """Serves with draft tokens (speculative decoding). Drafts from n-grams must not change any token. If the
    model itself drafts greedily, it must accept all drafts.
    """
    model = opinionated()
    require_written(model, _prompts(5, 11, 2, tokens=14), EngineOptions(batch=3, rows=20, block_size=3),
                    NgramDraft(3))
    options = EngineOptions(batch=3, rows=20, block_size=3)
    engine = require_written(model, _prompts(5, 11, 2, sampling=GREEDY, tokens=11), options,
                             ModelDraft(model, options, 3))
    if engine.accepted != engine.guessed or not engine.guessed:
        raise ServingError("the model rejects its own tokens")


def accepted_law() -> None:
    """Computes the distribution of the tokens that `accept` returns, for a vocabulary of three tokens. It
    must equal the distribution p of the model.
    """
    p, q, points = np.array([3, 2, 1]) / 6, np.array([1, 2, 3]) / 6, 18
    law = np.zeros(3)
    for guess in range(3):
        for u in range(points):
            for v in range(points):
                token, _ = accept(p, q, guess, _Numbers((u + 0.5) / points, (v + 0.5) / points))
                law[token] += q[guess] / points**2
    if np.abs(law - p).max() > TOLERANCE:
        raise ServingError(f"tokens have the probabilities {law}, not {p}")


class _Numbers(np.random.Generator):
    """A generator that returns the given numbers."""

    def __init__(self, *numbers: float):
        super().__init__(np.random.PCG64(0))
        self._numbers = iter(numbers)

    def random(self, *arguments: Any, **options: Any) -> Any:
        return next(self._numbers)


def int8_cache() -> None:
    """Compares the 8-bit cache with a plain cache that rounds keys and values."""
    require_written(opinionated(heads=4), _prompts(5, 11, 2, 7),
                    EngineOptions(batch=4, rows=9, block_size=3, kv="int8"), cache_type=RoundedCache)


def invariant() -> None:
    """Checks that the logits of a request are bitwise equal for different batches, blocks and chunks."""
    model, requests = opinionated(dtype=np.float32, width=48, heads=3), _prompts(5, 19, 2, 20, 7)
    found = []
    for sizes in (dict(batch=1, rows=3, block_size=4), dict(batch=5, rows=60, block_size=3)):
        engine = RecordingEngine(model, options=EngineOptions(**sizes, invariant=True))  # type: ignore[arg-type]
        for request in requests:
            engine.add(request)
        while engine.busy:
            engine.step()
        found.append(engine.logits)
    if any(not np.array_equal(logits, found[1][key]) for key, logits in found[0].items()):
        raise ServingError("the bits of the logits depend on the batch")


CHECKS: dict[str, Callable[[], None]] = {
    check.__name__.replace("_", " "): check
    for check in (cached, paged, chunked, context_end, prefixes, samples, recomputed, swapped, evicted,
                  speculated, accepted_law, int8_cache, invariant)}


def first_failed_check() -> str | None:
    """Returns the name of the first check that fails, or None.

    >>> from minipar.proof.serving import first_failed_check
    >>> first_failed_check() is None
    True
    """
    for name, check in CHECKS.items():
        try:
            check()
        except Exception:                                           # a broken engine may raise anything
            return name
    return None
