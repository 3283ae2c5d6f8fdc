"""Sampling of a token from logits: penalty, temperature, top-k, top-p, min-p, then one random number.

Example: logits [2, 1, 0] at temperature 1 have the probabilities .67, .24, .09. top_p = .8 keeps the first
two, since .67 < .8 <= .91; min_p = .5 keeps only the first, since .24 < .5 * .67.

The steps and their order are those of Hugging Face's `generate`: repetition penalty (Keskar et al. 2019),
temperature, top-k (Fan et al. 2018), top-p (Holtzman et al. 2020), min-p (Nguyen et al. 2024).
"""

# V vocabulary

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minipar.errors import RangeError
from minipar.inference.requests import Sampling

NUCLEUS = 256                                                       # tokens that top-p sorts at first
LARGEST_LOGIT = float(np.finfo(np.float64).max) / 4                 # differences of two logits are finite


def choose(logits: np.ndarray, sampling: Sampling, text: Sequence[int], rng: np.random.Generator) -> int:
    """Choose a token from logits [V]. `text` holds all tokens so far, for the repetition penalty.

    One random number is drawn, or none at temperature 0. Raises RangeError if the largest logit is not
    finite.
    """
    if sampling.temperature == 0:
        return int(np.argmax(_penalised(logits, sampling, text)))
    return draw(weights(logits, sampling, text), rng)


def draw(weights: np.ndarray, rng: np.random.Generator) -> int:
    """Draw an index with a probability proportional to its weight [V], from one random number."""
    sums = np.cumsum(weights)
    return int(np.searchsorted(sums, rng.random() * sums[-1], side="right"))


def weights(logits: np.ndarray, sampling: Sampling, text: Sequence[int]) -> np.ndarray:
    """Return weights [V], float64, proportional to the probabilities of the tokens. The largest weight is 1;
    a token that cannot be chosen has weight 0.
    """
    logits = _penalised(logits, sampling, text)
    if sampling.temperature == 0:
        only: np.ndarray = np.eye(1, len(logits), int(np.argmax(logits)))[0]
        return only
    # a tiny temperature gives -inf, an infinite one NaN for a logit of -inf
    with np.errstate(over="ignore", invalid="ignore"):
        likely: np.ndarray = np.exp((logits - logits.max()) / sampling.temperature)
    likely[logits == -np.inf] = 0
    if 0 < sampling.top_k < len(logits):
        likely[~_largest(logits, sampling.top_k)] = 0
    if sampling.top_p < 1:
        likely[~_nucleus(likely, sampling.top_p)] = 0
    if sampling.min_p:
        likely[likely < sampling.min_p] = 0
    return likely


def log_probabilities(logits: np.ndarray) -> np.ndarray:
    """Return ln softmax of logits [V], in float64."""
    shifted = logits.astype(np.float64) - logits.max()
    result: np.ndarray = shifted - np.log(np.exp(shifted).sum())
    return result


def most_likely(logprobs: np.ndarray, count: int) -> tuple[tuple[int, float], ...]:
    """Return (token, logprob) for the `count` largest of logprobs [V], the largest first."""
    count = min(count, len(logprobs))
    tokens = np.flatnonzero(_largest(logprobs, count)) if count else np.empty(0, int)
    order = tokens[np.argsort(-logprobs[tokens], kind="stable")]
    return tuple((int(token), float(logprobs[token])) for token in order)


def _penalised(logits: np.ndarray, sampling: Sampling, text: Sequence[int]) -> np.ndarray:
    """Return a float64 copy of the logits [V] with the repetition penalty for the tokens of the text.

    An extreme penalty gives a logit of at most LARGEST_LOGIT: an infinite one would make all weights NaN.
    """
    largest = logits.max()
    if not np.isfinite(largest):
        raise RangeError(f"generate: the largest logit is {largest}, so no token can be chosen; the weights "
                         "are not finite, or a mask covers every token")
    logits = logits.astype(np.float64)
    if sampling.repetition_penalty != 1:
        seen = np.unique(np.asarray(text))
        old, penalty = logits[seen], sampling.repetition_penalty
        with np.errstate(over="ignore"):
            new = np.clip(np.where(old > 0, old / penalty, old * penalty), -LARGEST_LOGIT, LARGEST_LOGIT)
        logits[seen] = np.where(np.isfinite(old), new, old)
    return logits


def _largest(values: np.ndarray, count: int) -> np.ndarray:
    """Return a mask [V] of the `count` largest values. Of equal values the first is kept, as in argmax."""
    limit = np.partition(values, len(values) - count)[len(values) - count]
    kept: np.ndarray = values > limit
    kept[np.flatnonzero(values == limit)[: count - np.count_nonzero(kept)]] = True
    return kept


def _nucleus(likely: np.ndarray, top_p: float) -> np.ndarray:
    """Return a mask [V] of the fewest largest weights whose sum is at least top_p times the total.

    Sorting a vocabulary takes milliseconds, so at first only the NUCLEUS largest weights are sorted.
    """
    needed, count = top_p * likely.sum(), NUCLEUS
    while count < len(likely) and likely[_largest(likely, count)].sum() < needed:
        count *= 8
    tokens = np.flatnonzero(_largest(likely, min(count, len(likely))))
    order = tokens[np.argsort(-likely[tokens], kind="stable")]
    before = np.cumsum(likely[order]) - likely[order]               # the sum of all larger weights
    kept = np.zeros(len(likely), bool)
    kept[order[before < needed]] = True
    kept[order[0]] = True                                           # rounding never removes the largest
    return kept
