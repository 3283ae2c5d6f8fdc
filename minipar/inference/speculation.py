"""Speculative decoding: a cheap guess of several tokens, checked by the model in one forward pass.

A forward pass of k + 1 rows costs little more than one of a single row, since both read all weights once. So
a draft of k tokens is guessed (drafts.py), and the model computes the logits after each of them. Tokens of
the draft are accepted from the left, until one is rejected; the model's own token follows. The text has the
same probabilities as without guesses, whatever the guesses are.

**The law** (Leviathan et al. 2023, Chen et al. 2023). The draft token d was drawn with probability q(d); the
model gives it p(d). Accept d with probability min(1, p(d) / q(d)). Otherwise draw from (p - q)+, normalised:

    P(x) = q(x) min(1, p(x) / q(x)) + P(rejected) (p(x) - q(x))+ / sum of (p - q)+
         = min(q(x), p(x)) + (p(x) - q(x))+ = p(x),      since P(rejected) = 1 - sum of min(q, p)

Example with three tokens: p = (.5, .3, .2), q = (.2, .6, .2). Token 1 is drawn with .6, and accepted with
half of that, .3. The other .3 goes to token 0, which has .2 from the draft: .5.

A guess without chance, from an n-gram or a greedy draft, is simpler: draw the model's token as without a
draft, and accept the guess if it is equal. Then every seed gives the same tokens as without speculation.
"""

# V vocabulary

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minipar.inference.requests import Sampling
from minipar.inference.sampling import choose, draw, weights


@dataclass
class DraftTokens:
    """Guessed tokens; proposals: the probabilities [V] from which each was drawn, None for a guess without
    chance.
    """

    tokens: list[int]
    proposals: list[np.ndarray] | None = None


def next_token(logits: np.ndarray, sampling: Sampling, text: Sequence[int], rng: np.random.Generator,
               draft: DraftTokens | None, number: int) -> tuple[int, bool]:
    """(the token that follows the text, whether it is the draft's token of this number).

    logits [V]: the model's, after the text. draft: None, or all its tokens used, for no guess.
    """
    if draft is None or number == len(draft.tokens):
        return choose(logits, sampling, text, rng), False
    guess = draft.tokens[number]
    if draft.proposals is None:
        token = choose(logits, sampling, text, rng)
        return token, token == guess
    likely = weights(logits, sampling, text)
    return accept(likely / likely.sum(), draft.proposals[number], guess, rng)


def accept(p: np.ndarray, q: np.ndarray, guess: int, rng: np.random.Generator) -> tuple[int, bool]:
    """(a token with the law p [V], whether it is the guess), for a guess that was drawn from q [V]."""
    if rng.random() * q[guess] < p[guess]:
        return guess, True
    rest = np.maximum(p - q, 0)
    return draw(rest if rest.any() else p, rng), False              # p = q up to rounding leaves no rest
