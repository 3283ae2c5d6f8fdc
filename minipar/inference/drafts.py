"""Makes drafts for speculative decoding: guessed tokens, from an n-gram of the text or from a smaller model.

The model checks all guessed tokens of a draft in one forward pass (see speculation.py)."""


from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from minipar.config import ModelConfig
from minipar.errors import ConfigError
from minipar.inference.batch import RowBatch, make_batch
from minipar.inference.options import EngineOptions
from minipar.inference.paged_cache import PagedCache
from minipar.inference.runner import LocalRunner
from minipar.inference.sampling import choose, draw, weights
from minipar.inference.sequence import TextSequence
from minipar.inference.speculation import DraftTokens
from minipar.nn import GPT


class Speculator(Protocol):
    """The interface of a source of drafts. count: the largest number of guessed tokens per sequence. caches:
    its own KV caches, which use the same blocks as the engine's caches.
    """

    count: int
    caches: Sequence[PagedCache]

    def require_fit(self, model: ModelConfig) -> None:
        """Raises ConfigError if the drafts do not fit this model."""

    def propose(self, planned: dict[TextSequence, int]) -> dict[TextSequence, DraftTokens]:
        """Return drafts for decoding sequences. planned: sequence -> number of rows in this step. One row is
        for the newest token, so a draft has at most one token less.
        """

    def observe(self, batch: RowBatch) -> None:
        """Receive the rows that the model computes in this step, so that the own caches can store them."""


class NgramDraft:
    """Searches for an earlier occurrence of the text's last n tokens, and guesses the tokens that followed
    there. n is as large as possible, but at most `longest`.

    Example with n = 2: after 5 7 1 2 5 7 the draft is 1 2 5. The method needs no model. It guesses well
    where a text repeats itself.
    """

    caches: Sequence[PagedCache] = ()

    def __init__(self, count: int = 4, longest: int = 3):
        """Raises ConfigError if a number is below 1."""
        if min(count, longest) < 1:
            raise ConfigError(f"count and longest must be at least 1 token; got {count} and {longest}",
                              item="count")
        self.count, self._longest = count, longest

    def require_fit(self, model: ModelConfig) -> None:
        """Accept any model, because an n-gram fits every model."""

    def propose(self, planned: dict[TextSequence, int]) -> dict[TextSequence, DraftTokens]:
        drafts = {one: DraftTokens(self._continuation(one.text, rows - 1)) for one, rows in planned.items()}
        return {one: draft for one, draft in drafts.items() if draft.tokens}

    def observe(self, batch: RowBatch) -> None:
        """Do nothing: an n-gram needs only the text."""

    def _continuation(self, text: list[int], most: int) -> list[int]:
        for n in range(min(self._longest, len(text) - 1), 0, -1):
            end = text[-n:]
            for start in range(len(text) - n - 1, -1, -1):
                if text[start : start + n] == end:
                    return text[start + n : start + n + most]
        return []


class ModelDraft:
    """Guesses tokens with a smaller model. This model has its own paged cache with the same blocks."""

    def __init__(self, model: GPT, options: EngineOptions, count: int = 4):
        """options: the options of the engine. Raises ConfigError if the count is below 1."""
        if count < 1:
            raise ConfigError(f"a draft needs at least 1 token; got {count}", item="count")
        self.count, self._size = count, options.block_size
        self.runner = LocalRunner(model, options)
        self.caches: Sequence[PagedCache] = self.runner.caches

    def require_fit(self, model: ModelConfig) -> None:
        own = self.runner.config
        if own.vocabulary != model.vocabulary or own.context < model.context:
            raise ConfigError(f"the draft model has a vocabulary of {own.vocabulary} and a context of "
                              f"{own.context}; the model needs {model.vocabulary} and {model.context}",
                              item="draft")

    def propose(self, planned: dict[TextSequence, int]) -> dict[TextSequence, DraftTokens]:
        drafts = {one: DraftTokens([], [] if one.request.sampling.temperature else None) for one in planned}
        for number in range(self.count):
            guessing = [one for one, rows in planned.items() if number < rows - 1]
            if not guessing:
                break
            parts = [([[*one.text, *drafts[one].tokens][-1]], one.computed + number, one.table, 1)
                     for one in guessing]
            for one, logits in zip(guessing, self.runner.run(make_batch(parts, self._size)), strict=True):
                _extend(drafts[one], logits, one)
        return drafts

    def observe(self, batch: RowBatch) -> None:
        self.runner.run(replace(batch, wanted=np.empty(0, int)))


def _extend(draft: DraftTokens, logits: np.ndarray, sequence: TextSequence) -> None:
    sampling, text = sequence.request.sampling, [*sequence.text, *draft.tokens]
    if draft.proposals is None:
        draft.tokens.append(choose(logits, sampling, text, sequence.rng))
    else:
        proposal = weights(logits, sampling, text)
        draft.proposals.append(proposal / proposal.sum())
        draft.tokens.append(draw(proposal, sequence.rng))
