"""Defines the engine: it accepts requests, and every step returns the new tokens of all running sequences.

    engine = Engine(model, tokenizer)
    number = engine.add(TextRequest(prompt, max_tokens=50))
    while engine.busy:
        for token in engine.step():                 # without drafts, at most one NewToken per sequence
            ...

For each request, the engine writes the same tokens as `generate`: it uses the same random numbers, and keeps
the same part of the text when the context is full. The server, the benchmark and `minipar generate` all run
this loop. An engine has no locks, so one thread must make all calls.
"""

# V vocabulary

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from minipar.data.tokenizer import Tokenizer
from minipar.errors import ConfigError
from minipar.inference.batch import make_batch
from minipar.inference.blocks import BlockPool
from minipar.inference.drafts import Speculator
from minipar.inference.memory import SequenceMemory
from minipar.inference.options import EngineOptions
from minipar.inference.requests import NewToken, TextRequest
from minipar.inference.runner import LocalRunner, Runner
from minipar.inference.sampling import choose, log_probabilities, most_likely
from minipar.inference.scheduler import Scheduler
from minipar.inference.sequence import TextSequence, random_numbers
from minipar.inference.speculation import DraftTokens, next_token
from minipar.inference.stops import TextStream
from minipar.nn import GPT


class Engine:
    """Serves a model. The tokenizer decodes tokens and finds stop texts. Without a tokenizer, the engine
    returns tokens without text.

    >>> import minipar as mp
    >>> engine = mp.Engine(mp.GPT(mp.ModelConfig(vocabulary=7, context=4, layers=1, heads=1, width=4)))
    >>> engine.add(mp.TextRequest([1, 2], max_tokens=3)), engine.add(mp.TextRequest([3], max_tokens=1))
    (0, 1)
    >>> [token.request for token in engine.step()]
    [0, 1]
    >>> [token.request for token in engine.step()]
    [0]
    """

    def __init__(self, model: GPT | Runner, tokenizer: Tokenizer | None = None,
                 options: EngineOptions | None = None, speculator: Speculator | None = None):
        """model: a GPT in this process, or a Runner made with the same options. speculator: a source of
        drafts (see drafts.py), or None.

        Raises ConfigError if the tokenizer has another vocabulary, or if `options.rows` is too small for
        drafts.
        """
        self.options = options = options or EngineOptions()
        self.tokenizer, context = tokenizer, model.config.context
        if tokenizer is not None and tokenizer.vocab_size != model.config.vocabulary:
            raise ConfigError(f"the tokenizer has {tokenizer.vocab_size} tokens, the model "
                              f"{model.config.vocabulary}; use the tokenizer of the model's training",
                              item="tokenizer")
        pool = BlockPool(options.blocks_of(context), options.block_size, -(-context // options.block_size))
        self.runner = LocalRunner(model, options) if isinstance(model, GPT) else model
        self.config = model.config
        self._speculator = speculator
        self._drafts = speculator.count if speculator else 0
        if speculator is not None:
            speculator.require_fit(model.config)
            options.require_rows(self._drafts)
        caches = [*self.runner.caches, *(speculator.caches if speculator else ())]
        self.memory = SequenceMemory(pool, caches, options.preemption, options.share_prefixes)
        self.scheduler = Scheduler(self.memory, context, options.batch, options.rows)
        self.steps = self.guessed = self.accepted = 0  # forward passes; draft tokens guessed, accepted
        self._numbers = itertools.count()

    @property
    def busy(self) -> bool:
        """True while a request is unfinished."""
        return bool(self.scheduler.running or self.scheduler.waiting)

    def check(self, request: TextRequest) -> None:
        """Check a request. Raises ConfigError if this engine cannot serve it."""
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
        """Queue a request and return its number. Raises the errors of `check`."""
        self.check(request)
        number = next(self._numbers)
        self.scheduler.add(self.sequence_of(number, request))
        return number

    def sequence_of(self, number: int, request: TextRequest) -> TextSequence:
        """Return the sequence of a request's first sample. It is not in the queue yet. The other samples are
        copied from it when its prompt is computed.
        """
        sequence = self._sequence(number, request, 0, [int(token) for token in request.prompt])
        sequence.forks = request.samples - 1
        return sequence

    def cancel(self, number: int) -> None:
        """Remove a request and free its blocks. A finished request is ignored."""
        for sequence in [*self.scheduler.running, *self.scheduler.waiting]:
            if sequence.number == number:
                self.scheduler.remove(sequence)

    def step(self) -> list[NewToken]:
        """Compute one forward pass and return its new tokens, earlier requests first.

        A step that computes only a chunk of a long prompt returns no token. Raises RangeError if the logits
        are not finite.
        """
        planned = self.scheduler.plan(self._drafts)
        if not planned:
            return []
        self.steps += 1
        drafts = self._guess(planned)
        logits = self._logits(planned, drafts)
        tokens: list[NewToken] = []
        for sequence, rows in planned.items():
            sequence.computed += min(rows, sequence.pending)
            self.memory.register(sequence)
            if not sequence.pending:
                tokens += self._new_tokens(sequence, logits, drafts.get(sequence))
            self.memory.trim(sequence)
        return sorted(tokens, key=lambda token: (token.request, token.sample))

    def _guess(self, planned: dict[TextSequence, int]) -> dict[TextSequence, DraftTokens]:
        if self._speculator is None:
            return {}
        return self._speculator.propose({one: rows for one, rows in planned.items() if rows > one.pending})

    def _logits(self, planned: dict[TextSequence, int],
                drafts: dict[TextSequence, DraftTokens]) -> Iterator[np.ndarray]:
        """Compute the planned rows. Return an iterator over logits [V], V vocabulary. A sequence has logits
        only if these rows complete its text: one array after the text, and one after each token of its draft.
        """
        parts = []
        for one, rows in planned.items():
            guess = drafts[one].tokens if one in drafts else []
            new = one.text[one.computed : one.computed + rows] + guess
            parts.append((new, one.computed, one.table, 1 + len(guess) if rows >= one.pending else 0))
        batch = make_batch(parts, self.options.block_size)
        if self._speculator is not None:
            self._speculator.observe(batch)
        return iter(self.runner.run(batch))

    def _sequence(self, number: int, request: TextRequest, sample: int, text: list[int]) -> TextSequence:
        shown = TextStream(self.tokenizer, request.stop) if self.tokenizer else None
        return TextSequence(number, request, sample, text, random_numbers(request, sample), shown)

    def _new_tokens(self, sequence: TextSequence, logits: Iterator[np.ndarray],
                    draft: DraftTokens | None) -> list[NewToken]:
        """Return the next tokens of a sequence: the accepted tokens of its draft, and one more."""
        tokens = []
        rows = [next(logits) for _ in range(1 + (len(draft.tokens) if draft else 0))]
        self.guessed += len(rows) - 1
        for fork in self._forks(sequence):
            token = choose(rows[0], fork.request.sampling, fork.text, fork.rng)
            tokens.append(self._append(fork, rows[0], token))
        for number, row in enumerate(rows):
            token, accepted = next_token(row, sequence.request.sampling, sequence.text, sequence.rng, draft,
                                         number)
            tokens.append(self._append(sequence, row, token))
            if not accepted or tokens[-1].finished:
                break
            sequence.computed += 1                                  # this token of the draft is in the cache
            self.accepted += 1
        return tokens

    def _forks(self, sequence: TextSequence) -> list[TextSequence]:
        """Create the other samples of a request, whose prompt is now computed, and return them."""
        forks = [self._sequence(sequence.number, sequence.request, 1 + fork, list(sequence.text))
                 for fork in range(sequence.forks)]
        for fork in forks:
            self.memory.fork(sequence, fork)
            self.scheduler.start(fork)
        sequence.forks = 0
        return forks

    def _append(self, sequence: TextSequence, logits: np.ndarray, token: int) -> NewToken:
        """Append a token to the text of a sequence. This may finish the sequence."""
        request, context = sequence.request, self.config.context
        sequence.text.append(token)
        sequence.written += 1
        text, stopped = sequence.shown.push(token) if sequence.shown else ("", False)
        finished = "stop" if stopped else "length" if sequence.written == request.max_tokens else None
        if finished == "length" and sequence.shown:
            text += sequence.shown.flush()
        if finished:
            self.scheduler.remove(sequence)
        elif len(sequence.text) > context:                          # the context is full: keep the newer half
            self.memory.forget(sequence)
            sequence.text = sequence.text[-max(context // 2, 1):]
        logprob: float | None = None
        likely: tuple[tuple[int, float], ...] = ()
        if request.logprobs is not None:
            all_logprobs = log_probabilities(logits)
            logprob, likely = float(all_logprobs[token]), most_likely(all_logprobs, request.logprobs)
        return NewToken(sequence.number, sequence.sample, token, text, logprob, likely, finished)
