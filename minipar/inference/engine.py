"""The engine: requests go in, and every step gives the tokens of all sequences that run together.

    engine = Engine(model, tokenizer)
    number = engine.add(TextRequest(prompt, max_tokens=50))
    while engine.busy:
        for token in engine.step():                 # a NewToken per sequence that has got one
            ...

It writes the tokens that `generate` writes for each request alone: the same window where the context is full,
the same random numbers. A server, a benchmark and `minipar generate --prompts` all drive this loop.
"""

# V vocabulary

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from minipar.data.tokenizer import Tokenizer
from minipar.errors import ConfigError
from minipar.inference.batch import make_batch
from minipar.inference.blocks import BlockPool
from minipar.inference.memory import PREEMPTIONS, SequenceMemory
from minipar.inference.requests import NewToken, TextRequest
from minipar.inference.runner import LocalRunner, Runner
from minipar.inference.sampling import choose, log_probabilities, most_likely
from minipar.inference.scheduler import Scheduler
from minipar.inference.sequence import TextSequence, random_numbers
from minipar.inference.stops import TextStream
from minipar.nn import GPT
from minipar.records import require_types


@dataclass(frozen=True)
class EngineOptions:
    """batch: the most sequences that run together. rows: the most tokens in one forward pass; a longer prompt
    is computed in chunks. blocks: of the paged cache, 0 for enough for a full batch of full contexts;
    block_size: tokens in one. preemption: what happens to a sequence without room, "recompute" or "swap".
    share_prefixes: whether requests use the blocks of equal beginnings. invariant: the same bits for any
    batch, blocks and chunks; slower (see invariant.py).

    >>> from minipar.inference.engine import EngineOptions
    >>> EngineOptions(batch=4).block_size
    16
    """

    batch: int = 32
    rows: int = 256
    blocks: int = 0
    block_size: int = 16
    preemption: str = "recompute"
    share_prefixes: bool = True
    invariant: bool = False

    def __post_init__(self) -> None:
        require_types(self)
        for name, least in (("batch", 1), ("rows", 1), ("blocks", 0), ("block_size", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least {least}", item=name)
        if self.preemption not in PREEMPTIONS:
            raise ConfigError(f"preemption is {self.preemption!r}; choose {', '.join(PREEMPTIONS)}",
                              item="preemption")
        if self.rows < self.batch:
            raise ConfigError(f"{self.rows} rows are too few for a batch of {self.batch} sequences with one "
                              f"each; choose rows {self.batch} or more", item="rows")

    def blocks_of(self, context: int) -> int:
        return self.blocks or self.batch * -(-context // self.block_size)


class Engine:
    """Serves a model. tokenizer: for texts of tokens and stop texts; without it, only tokens are produced.

    >>> import minipar as mp
    >>> from minipar.inference.engine import Engine
    >>> from minipar.inference.requests import TextRequest
    >>> engine = Engine(mp.GPT(mp.ModelConfig(vocabulary=7, context=4, layers=1, heads=1, width=4)))
    >>> engine.add(TextRequest([1, 2], max_tokens=3)), engine.add(TextRequest([3], max_tokens=1))
    (0, 1)
    >>> [token.request for token in engine.step()]
    [0, 1]
    >>> [token.request for token in engine.step()]
    [0]
    """

    def __init__(self, model: GPT | Runner, tokenizer: Tokenizer | None = None,
                 options: EngineOptions | None = None):
        """model: a GPT in this process, or a Runner whose caches have `options.blocks_of(context)` blocks.

        Raises ConfigError if the tokenizer has another vocabulary.
        """
        self.options = options = options or EngineOptions()
        self.tokenizer, context = tokenizer, model.config.context
        if tokenizer is not None and tokenizer.vocab_size != model.config.vocabulary:
            raise ConfigError(f"the tokenizer has {tokenizer.vocab_size} tokens, the model "
                              f"{model.config.vocabulary}; use the tokenizer of the model's training",
                              item="tokenizer")
        blocks = options.blocks_of(context)
        self.runner = model if not isinstance(model, GPT) else LocalRunner(
            model, blocks, options.block_size, invariant=options.invariant)
        self.config = model.config
        self.memory = SequenceMemory(BlockPool(blocks, options.block_size), self.runner.caches,
                                     options.preemption, options.share_prefixes)
        self.scheduler = Scheduler(self.memory, context, options.batch, options.rows)
        self.steps = 0
        self._numbers = itertools.count()

    @property
    def busy(self) -> bool:
        """Whether a request is not finished."""
        return bool(self.scheduler.running or self.scheduler.waiting)

    def check(self, request: TextRequest) -> None:
        """Raises ConfigError if this engine cannot serve the request."""
        context, vocabulary = self.config.context, self.config.vocabulary
        if len(request.prompt) > context:
            raise ConfigError(f"the prompt has {len(request.prompt)} tokens, more than the context of "
                              f"{context}; shorten it", item="prompt")
        if outside := [token for token in request.prompt if not 0 <= token < vocabulary]:
            raise ConfigError(f"the prompt has token {outside[0]}; the vocabulary has {vocabulary}",
                              item="prompt")
        if request.stop and self.tokenizer is None:
            raise ConfigError("stop texts need a tokenizer; give the engine one", item="stop")
        if request.samples > self.options.batch:
            raise ConfigError(f"{request.samples} samples run together, but the batch has room for "
                              f"{self.options.batch}", item="samples")
        longest = min(context, len(request.prompt) + request.max_tokens)
        if (needed := self.memory.blocks_for(longest)) > self.memory.pool.count:
            raise ConfigError(f"{longest} tokens need {needed} blocks of {self.options.block_size} tokens; "
                              f"there are {self.memory.pool.count}", item="blocks")

    def add(self, request: TextRequest) -> int:
        """Queue a request; returns its number. Raises ConfigError as `check`."""
        self.check(request)
        number = next(self._numbers)
        sequence = self._sequence(number, request, 0, [int(token) for token in request.prompt])
        sequence.forks = request.samples - 1
        self.scheduler.add(sequence)
        return number

    def cancel(self, number: int) -> None:
        """Forget a request and free its blocks; nothing happens if it has finished."""
        for sequence in [*self.scheduler.running, *self.scheduler.waiting]:
            if sequence.number == number:
                self.scheduler.remove(sequence)

    def step(self) -> list[NewToken]:
        """One forward pass; returns the tokens that it gave, earlier requests first.

        A step can give none, if it only computed a chunk of a long prompt. Raises RangeError if the logits
        are not finite.
        """
        planned = self.scheduler.plan()
        if not planned:
            return []
        self.steps += 1
        logits = self._logits(planned)
        tokens: list[NewToken] = []
        for sequence, rows in planned.items():
            sequence.computed += rows
            self.memory.register(sequence)
            if not sequence.pending:
                tokens += self._new_tokens(sequence, next(logits))
        return sorted(tokens, key=lambda token: (token.request, token.sample))

    def _logits(self, planned: dict[TextSequence, int]) -> Iterator[np.ndarray]:
        """An iterator of the logits [V] of each sequence whose text is computed by these rows."""
        parts = [(one.text[one.computed : one.computed + rows], one.computed, one.table,
                  int(rows == one.pending)) for one, rows in planned.items()]
        return iter(self.runner.run(make_batch(parts, self.options.block_size)))

    def _sequence(self, number: int, request: TextRequest, sample: int, text: list[int]) -> TextSequence:
        shown = TextStream(self.tokenizer.decode, request.stop) if self.tokenizer else None
        return TextSequence(number, request, sample, text, random_numbers(request, sample), shown)

    def _new_tokens(self, sequence: TextSequence, logits: np.ndarray) -> list[NewToken]:
        """The next token of a sequence, and of the samples that start from it. The logits: [V]."""
        forks = [self._sequence(sequence.number, sequence.request, 1 + fork, list(sequence.text))
                 for fork in range(sequence.forks)]
        for fork in forks:  # before the table of the first one changes
            self.memory.fork(sequence, fork)
            self.scheduler.start(fork)
        sequence.forks = 0
        return [self._append(one, logits, choose(logits, one.request.sampling, one.text, one.rng))
                for one in (sequence, *forks)]

    def _append(self, sequence: TextSequence, logits: np.ndarray, token: int) -> NewToken:
        """Add a token to the text; the sequence may finish."""
        request, context = sequence.request, self.config.context
        sequence.text.append(token)
        sequence.written += 1
        text, stopped = sequence.shown.push(token) if sequence.shown else ("", False)
        finished = "stop" if stopped else "length" if sequence.written == request.max_tokens else None
        if finished == "length" and sequence.shown:
            text += sequence.shown.flush()
        if finished:
            self.scheduler.remove(sequence)
        elif len(sequence.text) > context:                          # full: go on with the newer half
            self.memory.forget(sequence)
            sequence.text = sequence.text[-max(context // 2, 1):]
        logprob: float | None = None
        likely: tuple[tuple[int, float], ...] = ()
        if request.logprobs is not None:
            all_logprobs = log_probabilities(logits)
            logprob, likely = float(all_logprobs[token]), most_likely(all_logprobs, request.logprobs)
        return NewToken(sequence.number, sequence.sample, token, text, logprob, likely, finished)


@dataclass
class Completion:
    """One sample of a request, complete. logprobs: of each token, if the request asked for them."""

    tokens: list[int]
    text: str
    finished: str
    logprobs: list[float]


def complete(engine: Engine, requests: Iterable[TextRequest]) -> list[list[Completion]]:
    """The samples of each request, computed together.

    >>> import minipar as mp
    >>> from minipar.inference.engine import Engine, complete
    >>> from minipar.inference.requests import TextRequest
    >>> engine = Engine(mp.GPT(mp.ModelConfig(vocabulary=7, context=4, layers=1, heads=1, width=4)))
    >>> [[len(sample.tokens) for sample in samples] for samples in complete(
    ...     engine, [TextRequest([1, 2], max_tokens=3), TextRequest([3], max_tokens=2, samples=2)])]
    [[3], [2, 2]]
    """
    numbers = [engine.add(request) for request in requests]
    found: dict[int, dict[int, Completion]] = defaultdict(dict)
    while engine.busy:
        for new in engine.step():
            one = found[new.request].setdefault(new.sample, Completion([], "", "", []))
            one.tokens.append(new.token)
            one.text += new.text
            one.finished = new.finished or ""
            if new.logprob is not None:
                one.logprobs.append(new.logprob)
    return [[sample for _, sample in sorted(found[number].items())] for number in numbers]
