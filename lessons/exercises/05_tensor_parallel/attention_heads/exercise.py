import numpy as np

from minipar.exercises import Exercise, Par


def inputs(ranks, rng, size):
    T, D, K, heads = size
    x = rng.standard_normal((T, D))
    made = []
    for rank in range(ranks):
        h = heads(rank)
        made.append((x, *(rng.standard_normal((h, D, K)) for _ in range(3)), rng.standard_normal((h, K, D))))
    return made


def reference(ranks, arguments):
    """All heads on one process, token by token."""
    x = arguments[0][0]
    result = np.zeros_like(x)
    for _, wq, wk, wv, wo in arguments:
        for q, k, v, o in zip(x @ wq, x @ wk, x @ wv, wo, strict=True):
            for t in range(len(x)):
                scores = k[:t + 1] @ q[t] / np.sqrt(q.shape[1])
                e = np.exp(scores - scores.max())
                result[t] += (e / e.sum()) @ v[:t + 1] @ o
    return [result] * ranks


def mistaken(change_scores=lambda s: s, scale=lambda q, x: q.shape[1], axis=-1, after=lambda p: p, heads=slice(None),
             exchange=False):
    """The reference with a mistake in the scores or in the softmax. heads: the heads that are used on each rank.
    exchange: q and k change roles.
    """
    def attention(ranks, arguments):
        x = arguments[0][0]
        result = np.zeros_like(x)
        for _, wq, wk, wv, wo in arguments:
            for q, k, v, o in zip(x @ wq[heads], x @ wk[heads], x @ wv[heads], wo[heads], strict=True):
                q, k = (k, q) if exchange else (q, k)
                e = np.exp(change_scores(q @ k.T / np.sqrt(scale(q, x))))
                result += after(e / e.sum(axis=axis, keepdims=True)) @ v @ o
        return [result] * ranks
    return attention


def causal(scores):
    return np.where(np.tri(len(scores), dtype=bool), scores, -np.inf)


MISTAKES = {
    "each token sees the later ones, too\nwhich scores must a token not see? set them to -inf before the softmax": mistaken(),
    "a hidden score is 0, and exp(0) is 1\nset the hidden scores to -inf, or the weights to 0 before the row's sum":
        mistaken(np.tril),
    "the rows of P do not add up to 1\nis the mask applied after the softmax? apply it before": mistaken(after=np.tril),
    "the scores are not divided by sqrt(K)\nsee the formula of S in the task": mistaken(causal, scale=lambda q, x: 1),
    "the scores are divided by sqrt(D)\nq and k have K numbers: see the formula of S in the task":
        mistaken(causal, scale=lambda q, x: x.shape[1]),
    "the scores are divided by K\nsee the formula of S in the task: the divisor is a square root":
        mistaken(causal, scale=lambda q, x: q.shape[1] ** 2),
    "q and k are exchanged\nrow t of S belongs to token t, which asks with its q: S = q k^T": mistaken(causal, exchange=True),
    "only the first head of each rank is in the sum\nwhich loop runs over wq[0], wq[1], ...?": mistaken(causal, heads=slice(0, 1)),
    "only the last head of each rank is in the sum\nis the result of each head added (+=), or does it replace the one before?":
        mistaken(causal, heads=slice(-1, None)),
    "each token sees itself and the later ones\nrow t of S belongs to token t: which columns are earlier? np.tril keeps them":
        mistaken(lambda scores: np.where(np.tri(len(scores), dtype=bool).T, scores, -np.inf)),
    "the softmax is over the whole matrix\nwhich axis of S is summed? each row of P must add up to 1":
        mistaken(causal, axis=None),
    "the softmax is over the columns\nwhich axis of S is summed? each row of P must add up to 1": mistaken(causal, axis=0)}


def par(ranks, arguments):
    """One all-reduce of [T, D]."""
    return Par(messages=2 * (ranks - 1), bytes=2 * (ranks - 1) * arguments[0][0].nbytes)


EXERCISE = Exercise(
    kind="write", minutes=25, lesson="14", function="attention",
    goal="share out heads, and know where they meet again",
    prerequisites=("column_row_pair",),
    cases={"two heads each": (4, 6, 3, lambda rank: 2), "different numbers of heads": (3, 4, 2, lambda rank: 1 + rank % 2),
           "one token": (1, 3, 2, lambda rank: 1)},
    inputs=inputs, reference=reference, par=par, mistakes=MISTAKES, library="minipar/nn/gpt.py:Attention")
