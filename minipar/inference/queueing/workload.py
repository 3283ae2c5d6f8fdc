"""Makes requests that arrive at random times. Their prompts and texts have random lengths.

Poisson arrivals describe the requests of many independent users: the gaps between arrivals are independent
and exponentially distributed. Example with 2 requests per second: gaps of 0.1, 0.9 and 0.5 s have a mean of
0.5 s, and give arrivals at 0.1, 1.0 and 1.5 s.
"""


from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from minipar.config import LARGEST
from minipar.errors import ConfigError, shown
from minipar.inference.requests import Sampling, TextRequest
from minipar.records import require_types
from minipar.rng import stream

DISTRIBUTIONS = ("fixed", "uniform", "geometric", "lognormal")
SPREAD = 1.0  # sigma of "lognormal"; 1 gives a long tail
MOST_REQUESTS = 100_000
MOST_PROMPT_TOKENS = 1 << 24  # mean number of tokens of all prompts together


@dataclass(frozen=True)
class TokenLengths:
    """A distribution of numbers of tokens, from 1 to `most`. A larger random number is replaced by `most`.

    * "fixed" always gives the mean.
    * "uniform" gives each number from 1 to 2 * mean - 1 with the same probability.
    * "geometric" adds one more token with the same probability each time (a discrete exponential
      distribution).
    * "lognormal" gives many short texts and a few very long ones.

    >>> TokenLengths("fixed", 3).draw(stream(0, "lengths"), 2).tolist()
    [3, 3]
    """

    distribution: str = "geometric"
    mean: int = 64
    most: int = 1024

    def __post_init__(self) -> None:
        require_types(self)
        if self.distribution not in DISTRIBUTIONS:
            raise ConfigError(f"the distribution is {self.distribution!r}; choose {', '.join(DISTRIBUTIONS)}",
                              item="distribution")
        if self.most > LARGEST:
            raise ConfigError(f"lengths of up to {shown(self.most)} tokens are more than {LARGEST:,}; choose "
                              "fewer", item="most")
        if not 1 <= self.mean <= self.most:
            raise ConfigError(f"a mean of {self.mean} tokens is not from 1 to {self.most}, the longest; "
                              "choose another mean", item="mean")

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return `count` lengths, an integer array [count]."""
        draws: dict[str, Callable[[], np.ndarray]] = {
            "fixed": lambda: np.full(count, self.mean),
            "uniform": lambda: rng.integers(1, 2 * self.mean, size=count),
            "geometric": lambda: rng.geometric(1 / self.mean, size=count),
            "lognormal": lambda: rng.lognormal(math.log(self.mean) - SPREAD**2 / 2, SPREAD, size=count),
        }
        lengths: np.ndarray = np.clip(np.rint(draws[self.distribution]()), 1, self.most).astype(np.int64)
        return lengths


@dataclass(frozen=True)
class TimedRequest:
    """A request with its arrival time in seconds."""

    arrival: float
    request: TextRequest


def poisson_arrivals(rate: float, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return random arrival times in ascending order, float64 [count], in seconds. rate: requests per second.
    With infinity, all requests arrive at 0.

    Raises ConfigError for a rate that is not positive, or an invalid count.
    """
    if not rate > 0:                                                # NaN is refused, too
        raise ConfigError(f"the rate is {shown(rate)} requests per second; it must be positive", item="rate")
    if not 1 <= count <= MOST_REQUESTS:
        raise ConfigError(f"{count} requests are not from 1 to {MOST_REQUESTS:,}; choose another number",
                          item="requests")
    gaps = rng.exponential(1 / rate, size=count) if rate < math.inf else np.zeros(count)
    times: np.ndarray = np.cumsum(gaps)
    return times


def request_stream(rate: float, count: int, prompts: TokenLengths, texts: TokenLengths, *, vocabulary: int,
                   seed: int = 0, shared: int = 0) -> list[TimedRequest]:
    """Return requests with Poisson arrivals and random prompts. The same seed gives the same requests.

    rate: requests per second. prompts, texts: the distributions of the lengths of prompts and of new texts.
    shared: the number of first tokens that are equal in all prompts, like common instructions. The requests
    ask for the most likely tokens, so the same request always needs the same work. Raises the errors of
    `poisson_arrivals`, and ConfigError if all prompts together are too long.

    >>> from minipar.inference.queueing.workload import TokenLengths, request_stream
    >>> lengths = TokenLengths("fixed", 3)
    >>> [len(one.request.prompt) for one in request_stream(2.0, 2, lengths, lengths, vocabulary=11)]
    [3, 3]
    """
    if count * prompts.mean > MOST_PROMPT_TOKENS:
        raise ConfigError(f"{count:,} prompts of {prompts.mean:,} tokens are more than "
                          f"{MOST_PROMPT_TOKENS:,} tokens; choose fewer requests, or shorter prompts",
                          item="requests")
    arrivals = poisson_arrivals(rate, count, stream(seed, "arrivals"))
    rng = stream(seed, "prompts")
    beginning = rng.integers(vocabulary, size=shared).tolist()
    sizes = zip(prompts.draw(stream(seed, "prompt lengths"), count).tolist(),
                texts.draw(stream(seed, "text lengths"), count).tolist(), strict=True)
    return [TimedRequest(arrival, TextRequest(_prompt(length, beginning, vocabulary, rng), tokens,
                                              Sampling(temperature=0)))
            for arrival, (length, tokens) in zip(arrivals.tolist(), sizes, strict=True)]


def _prompt(length: int, beginning: Sequence[int], vocabulary: int, rng: np.random.Generator) -> list[int]:
    own: list[int] = rng.integers(vocabulary, size=max(0, length - len(beginning))).tolist()
    return [*beginning[:length], *own]
