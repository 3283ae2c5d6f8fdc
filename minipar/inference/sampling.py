"""Chooses a token from logits: penalty, temperature, top-k, top-p, min-p, and then one random number.

Example: at temperature 1, the logits [2, 1, 0] give the probabilities .67, .24, .09. top_p = .8 keeps the
first two tokens: .67 is less than .8, and .67 + .24 = .91 is at least .8. min_p = .5 keeps only the first
token, because .24 is less than .5 * .67.

Hugging Face's `generate` has the same steps in the same order: repetition penalty (Keskar et al. 2019),
temperature, top-k (Fan et al. 2018), top-p (Holtzman et al. 2020), min-p (Nguyen et al. 2024).
"""

# V vocabulary

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minipar.errors import RangeError
from minipar.inference.requests import Sampling

NUCLEUS = 256  # number of tokens that top-p sorts at first
LARGEST_LOGIT = float(np.finfo(np.float64).max) / 4                 # so differences of two logits are finite


def choose(logits: np.ndarray, sampling: Sampling, text: Sequence[int], rng: np.random.Generator) -> int:
    """Choose a token from logits [V]. text: all tokens so far, for the repetition penalty.

    At temperature 0 no random number is drawn, otherwise one. Raises RangeError if the largest logit is not
    finite.
    """
    if sampling.temperature == 0:
        return int(np.argmax(_penalised(logits, sampling, text)))
    return draw(weights(logits, sampling, text), rng)


def draw(weights: np.ndarray, rng: np.random.Generator) -> int:
    """Draw an index at random. The probability of an index is proportional to its weight. weights: [V]."""
    sums = np.cumsum(weights)
    return int(np.searchsorted(sums, rng.random() * sums[-1], side="right"))


def weights(logits: np.ndarray, sampling: Sampling, text: Sequence[int]) -> np.ndarray:
    """Return weights, float64 [V], that are proportional to the probabilities of the tokens. The largest
    weight is 1. A token that cannot be chosen has weight 0.
    """
    logits = _penalised(logits, sampling, text)
    if sampling.temperature == 0:
        only: np.ndarray = np.eye(1, len(logits), int(np.argmax(logits)))[0]
        return only
    # -inf appears at tiny temperatures, and NaN at infinite temperature for a logit of -inf
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
    """Return the natural logarithm of the softmax of logits [V], float64 [V]."""
    shifted = logits.astype(np.float64) - logits.max(initial=-np.inf)
    result: np.ndarray = shifted - np.log(np.exp(shifted).sum())
    return result


def most_likely(logprobs: np.ndarray, count: int) -> tuple[tuple[int, float], ...]:
    """Return the `count` most likely tokens as pairs (token, logprob), the most likely first. logprobs: [V].
    """
    count = min(count, len(logprobs))
    tokens = np.flatnonzero(_largest(logprobs, count)) if count else np.empty(0, int)
    order = tokens[np.argsort(-logprobs[tokens], kind="stable")]
    return tuple((int(token), float(logprobs[token])) for token in order)


def _penalised(logits: np.ndarray, sampling: Sampling, text: Sequence[int]) -> np.ndarray:
    """Return a float64 copy of the logits [V], with the repetition penalty for the tokens of the text.

    With an extreme penalty, the result is limited to LARGEST_LOGIT, because an infinite logit would make all
    weights NaN.
    """
    largest = logits.max(initial=-np.inf)                           # there may be no logits
    if not np.isfinite(largest):
        raise RangeError(f"generate: the largest logit is {largest}, so no token can be chosen; the weights "
                         "are not finite, or a mask covers every token", item="logits")
    logits = logits.astype(np.float64)
    if sampling.repetition_penalty != 1:
        seen = np.unique(np.asarray(text))
        old, penalty = logits[seen], sampling.repetition_penalty
        with np.errstate(over="ignore"):
            new = np.clip(np.where(old > 0, old / penalty, old * penalty), -LARGEST_LOGIT, LARGEST_LOGIT)
        logits[seen] = np.where(np.isfinite(old), new, old)
    return logits


def _largest(values: np.ndarray, count: int) -> np.ndarray:
    """Return a mask, bool [V], of the `count` largest values. If values are equal, the first ones are taken,
    like in argmax.
    """
    limit = np.partition(values, len(values) - count)[len(values) - count]
    kept: np.ndarray = values > limit
    kept[np.flatnonzero(values == limit)[: count - np.count_nonzero(kept)]] = True
    return kept


def _nucleus(likely: np.ndarray, top_p: float) -> np.ndarray:
    """Return a mask, bool [V], of the largest weights, as few as possible, whose sum is at least top_p times
    the total.

    Sorting a whole vocabulary takes milliseconds. So at first only the NUCLEUS largest weights are sorted.
    """
    needed, count = top_p * likely.sum(), NUCLEUS
    while count < len(likely) and likely[_largest(likely, count)].sum() < needed:
        count *= 8
    tokens = np.flatnonzero(_largest(likely, min(count, len(likely))))
    order = tokens[np.argsort(-likely[tokens], kind="stable")]
    before = np.cumsum(likely[order]) - likely[order]               # the sum of all larger weights
    kept = np.zeros(len(likely), bool)
    kept[order[before < needed]] = True
    kept[order[0]] = True                                           # the largest is kept in spite of rounding
    return kept
