import numpy as np

from minipar.exercises import Exercise


def inputs(ranks, rng, size):
    n, likely = size
    p, q = rng.dirichlet(np.ones(5), n + 1), rng.dirichlet(np.ones(5), n)
    if likely:
        q = p[:n].copy()
    elif n > 2:                                                     # the first two are certainly accepted
        p[:2], q[:2] = np.where(np.arange(5) == 1, 0.6, 0.1), 0.2
    tokens = [1, 1, *rng.integers(5, size=max(n - 2, 0)).tolist()][:n]
    return [(p, q, tokens, rng.uniform(0.05, 0.95, n))]


def verified(arguments, accepts=lambda u, p, q: u * q < p, rest=lambda p, q: np.maximum(p - q, 0)):
    """accepts: the rule, for the probabilities of a token. rest: what the next token is drawn from, not normalised."""
    p, q, tokens, u = arguments[0]
    for number, token in enumerate(tokens):
        if not accepts(u[number], p[number, token], q[number, token]):
            left = rest(p[number], q[number])
            return [{"accepted": number, "next": left / left.sum()}]
    return [{"accepted": len(tokens), "next": p[-1]}]


EXERCISE = Exercise(
    kind="write", minutes=15, lesson="19", function="verify", comm="",
    goal="accept guessed tokens so that the text has the large model's probabilities",
    prerequisites=("kv_cache",),
    cases={"plain": (4, False), "long": (8, False), "long again": (9, False), "one guess": (1, False),
           "a perfect draft": (3, True), "no guess": (0, False)},
    inputs=inputs, reference=lambda ranks, arguments: verified(arguments),
    mistakes={"after a rejection the next token is drawn from p\ndraw it from the probability that q lacks: max(p - q, 0)":
              lambda ranks, arguments: verified(arguments, rest=lambda p, q: p),
              "the distance of p and q is used\nwhere q is larger than p, the difference counts as 0: max(p - q, 0)":
              lambda ranks, arguments: verified(arguments, rest=lambda p, q: abs(p - q)),
              "a guess is compared with p alone\nit is accepted with probability min(1, p / q)":
              lambda ranks, arguments: verified(arguments, accepts=lambda u, p, q: u < p)},
    library="minipar/inference/speculation.py:accept")
