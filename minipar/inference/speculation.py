"""Chooses tokens with speculative decoding: a cheap method guesses several tokens (a draft), and the model
checks them in one forward pass.

A forward pass of k + 1 rows (tokens) takes little more time than a pass of one row, because both read all
weights once. So drafts.py guesses k tokens, and the model computes the logits after each of them. The tokens
of the draft are accepted from left to right until one is rejected. Then a token of the model itself follows.
For every draft, a text has the same probability as without a draft.

**The rule** (Leviathan et al. 2023, Chen et al. 2023). The draft token d was drawn with probability q(d), and
the model gives it the probability p(d). Accept d with probability min(1, p(d) / q(d)). Otherwise draw a token
from (p - q)+, normalised. Here (p - q)+ is p - q, with 0 in place of negative numbers. Then token x has the
probability

    P(x) = q(x) min(1, p(x) / q(x)) + P(rejected) (p(x) - q(x))+ / sum of (p - q)+
         = min(q(x), p(x)) + (p(x) - q(x))+ = p(x)

    because P(rejected) = 1 - sum of min(q, p) = sum of (p - q)+

Example with three tokens: p = (.5, .3, .2), q = (.2, .6, .2). Token 1 is drawn with probability .6 and
accepted in half of these cases, which gives .3. In the other half, token 0 is drawn. So token 0 gets .3, and
.2 from the draft: together .5.

If the guess is deterministic (from an n-gram, or a greedy draft), the rule is simpler: draw the model's token
as without a draft, and accept the guess if both tokens are equal. Then every seed gives the same tokens as
without speculation.
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
    """The guessed tokens of one sequence. proposals: for each token, the probabilities [V] from which it was
    drawn. None if the guess is deterministic.
    """

    tokens: list[int]
    proposals: list[np.ndarray] | None = None


def next_token(logits: np.ndarray, sampling: Sampling, text: Sequence[int], rng: np.random.Generator,
               draft: DraftTokens | None, number: int) -> tuple[int, bool]:
    """Return the token that follows the text, and True if this is the accepted token of the draft.

    logits: the model's logits [V] after the text. number: the index of the draft's token to check. If `draft`
    is None, or has only `number` tokens, there is no guess.
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
    """Return a token that has the probabilities p [V], and True if the guess is accepted. The guess was drawn
    from q [V].
    """
    if rng.random() * q[guess] < p[guess]:
        return guess, True
    rest = np.maximum(p - q, 0)
    return draw(rest if rest.any() else p, rng), False              # rest is all 0 if p = q up to rounding
