"""Speculative decoding: a cheap method guesses several tokens, and the model checks them in one forward pass.

A forward pass of k + 1 rows takes little longer than a pass of one row, since both read all weights once. So
drafts.py guesses a draft of k tokens, and the model computes the logits after each of them. Draft tokens are
accepted from the left until one is rejected. Then the model's own token follows. The text has the same
probabilities as without a draft, for any draft.

**The rule** (Leviathan et al. 2023, Chen et al. 2023). The draft token d was drawn with probability q(d); the
model gives it p(d). Accept d with probability min(1, p(d) / q(d)). Otherwise draw from (p - q)+, normalised:

    P(x) = q(x) min(1, p(x) / q(x)) + P(rejected) (p(x) - q(x))+ / sum of (p - q)+
         = min(q(x), p(x)) + (p(x) - q(x))+ = p(x),      since P(rejected) = 1 - sum of min(q, p)

Example with three tokens: p = (.5, .3, .2), q = (.2, .6, .2). Token 1 is drawn with probability .6 and
accepted in half of the cases: .3. The other .3 goes to token 0, which already has .2 from the draft: .5.

A deterministic guess, from an n-gram or a greedy draft, is simpler: draw the model's token as without a
draft, and accept the guess if both are equal. Then every seed gives the same tokens as without speculation.
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
    """Guessed tokens. `proposals` holds the probabilities [V] from which each token was drawn, or None for a
    deterministic guess.
    """

    tokens: list[int]
    proposals: list[np.ndarray] | None = None


def next_token(logits: np.ndarray, sampling: Sampling, text: Sequence[int], rng: np.random.Generator,
               draft: DraftTokens | None, number: int) -> tuple[int, bool]:
    """Return (the token that follows the text, whether it is the draft's token of this number).

    `logits` [V] are the model's, after the text. There is no guess if `draft` is None or all its tokens are
    used.
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
    """Return (a token with the probabilities p [V], whether it is the guess). The guess was drawn from q [V].
    """
    if rng.random() * q[guess] < p[guess]:
        return guess, True
    rest = np.maximum(p - q, 0)
    return draw(rest if rest.any() else p, rng), False              # all 0 if p = q up to rounding
