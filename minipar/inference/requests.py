"""Defines a user's request: a prompt, a number of tokens, and the rules that choose each token.

All options are checked here, before a request enters the engine. Contradictory options raise ConfigError. For
example, `top_p` has no effect at temperature 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from minipar.config import LARGEST, LARGEST_SEED
from minipar.errors import ConfigError, shown
from minipar.records import is_whole, require_types

MOST_SAMPLES = 64
MOST_STOPS, LONGEST_STOP = 16, 256                                  # number and length of stop texts
MOST_LOGPROBS = 20


@dataclass(frozen=True)
class Sampling:
    """The options that choose a token from the logits. They are applied in this order (see sampling.py):

    1. repetition_penalty makes tokens that are in the text less likely: it divides their logit if it is
       positive, and multiplies it if it is negative. 1 changes nothing.
    2. temperature divides the logits. 0 chooses the most likely token.
    3. top_k keeps the k most likely tokens. 0 keeps all.
    4. top_p keeps the most likely tokens, as few as possible, whose probabilities sum to at least p. 1 keeps
       all.
    5. min_p keeps tokens with at least min_p times the largest probability. 0 keeps all.

    seed: the seed of this request's random numbers.

    >>> import minipar as mp
    >>> mp.Sampling(temperature=0.8, top_k=40).top_p
    1.0
    >>> mp.Sampling(top_p=0.0)
    Traceback (most recent call last):
        ...
    minipar.errors.ConfigError: top_p is 0.0; it must be above 0, and at most 1
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        require_types(self)
        # `not` also refuses NaN
        _require(self.temperature >= 0, "temperature", self.temperature, "a number that is not negative")
        _require(0 <= self.top_k <= LARGEST, "top_k", self.top_k, "a number of tokens, or 0 for all")
        _require(0 < self.top_p <= 1, "top_p", self.top_p, "above 0, and at most 1")
        _require(0 <= self.min_p <= 1, "min_p", self.min_p, "at least 0, and at most 1")
        _require(0 < self.repetition_penalty < math.inf, "repetition_penalty", self.repetition_penalty,
                 "a positive number")
        _require(0 <= self.seed <= LARGEST_SEED, "seed", self.seed, f"from 0 to {LARGEST_SEED}")
        if self.temperature == 0:
            for name, without in (("top_p", 1.0), ("min_p", 0.0)):
                _require_effect(name, getattr(self, name), without)
            if self.top_k > 1:
                _require_effect("top_k", self.top_k, 0)


@dataclass(frozen=True)
class TextRequest:
    """A request: a prompt (tokens), and the options of its continuations.

    * max_tokens is the number of new tokens. A stop text can end a continuation earlier.
    * samples is the number of continuations of the prompt. Each sample has its own random numbers.
    * stop lists texts that end a continuation. The continuation does not contain them.
    * logprobs is None, or the number of most likely tokens to report for each new token.

    >>> import minipar as mp
    >>> mp.TextRequest([3, 1], max_tokens=5).samples
    1
    """

    prompt: Sequence[int]
    max_tokens: int = 16
    sampling: Sampling = field(default_factory=Sampling)
    samples: int = 1
    stop: Sequence[str] = ()
    logprobs: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.prompt, str) or not all(map(is_whole, self.prompt)):
            raise ConfigError("prompt must be tokens, whole numbers; encode a text with a tokenizer first",
                              item="prompt")
        if not len(self.prompt):
            raise ConfigError("an empty prompt gives the model nothing to continue; give at least one token",
                              item="prompt")
        _require(is_whole(self.max_tokens) and 1 <= self.max_tokens <= LARGEST, "max_tokens",
                 self.max_tokens, "a number of tokens, at least 1")
        _require(isinstance(self.sampling, Sampling), "sampling", self.sampling, "a Sampling")
        _require(is_whole(self.samples) and 1 <= self.samples <= MOST_SAMPLES, "samples", self.samples,
                 f"from 1 to {MOST_SAMPLES}")
        if self.samples > 1 and self.sampling.temperature == 0:
            raise ConfigError(f"temperature 0 makes all {self.samples} samples equal; choose 1 sample, or a "
                              "higher temperature", item="samples")
        _require(not isinstance(self.stop, str) and len(self.stop) <= MOST_STOPS
                 and all(isinstance(text, str) and 0 < len(text) <= LONGEST_STOP for text in self.stop),
                 "stop", self.stop, f"at most {MOST_STOPS} texts of 1 to {LONGEST_STOP} characters")
        if self.logprobs is not None:
            _require(is_whole(self.logprobs) and 0 <= self.logprobs <= MOST_LOGPROBS, "logprobs",
                     self.logprobs, f"from 0 to {MOST_LOGPROBS}, or None")


@dataclass(frozen=True)
class NewToken:
    """One new token from `Engine.step`.

    * request is the number that `Engine.add` returned. sample is the index of the sample, from 0.
    * text is the text that can be shown now. An incomplete character, or the possible beginning of a stop
      text, is not shown yet.
    * logprob is the natural logarithm of the token's probability, before temperature and penalties. It is
      None if the request does not ask for it.
    * likely holds the most likely tokens as pairs (token, logprob).
    * finished is "stop" (a stop text was found), "length" (max_tokens is reached) or None (not finished).
    """

    request: int
    sample: int
    token: int
    text: str = ""
    logprob: float | None = None
    likely: tuple[tuple[int, float], ...] = ()
    finished: str | None = None


def _require(fits: bool, name: str, value: object, wanted: str) -> None:
    if not fits:
        raise ConfigError(f"{name} is {shown(value)}; it must be {wanted}", item=name)


def _require_effect(name: str, value: object, without: object) -> None:
    if value != without:
        raise ConfigError(f"temperature 0 always chooses the most likely token, so {name} {value} has no "
                          "effect; leave it out, or choose a higher temperature", item=name)
