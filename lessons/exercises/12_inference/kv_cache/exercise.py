import numpy as np

from minipar.exercises import Exercise


def inputs(ranks, rng, size):
    before, new = size
    return [
        (*rng.standard_normal((2, before, 6)), rng.standard_normal((new, 5)), *rng.standard_normal((3, 5, 6)))
    ]


def extended(arguments, mask=lambda new, all_of_them: np.tri(new, all_of_them, all_of_them - new)):
    """mask: [new, all], 1 where a new token sees a token."""
    keys, values, x, Wq, Wk, Wv = arguments[0]
    keys, values = np.vstack([keys, x @ Wk]), np.vstack([values, x @ Wv])
    weights = np.exp(x @ Wq @ keys.T / np.sqrt(6)) * mask(len(x), len(keys))
    return [{"output": weights @ values / weights.sum(1, keepdims=True), "keys": keys, "values": values}]


EXERCISE = Exercise(
    kind="write", minutes=15, lesson="19", function="extend", comm="",
    goal="continue attention from cached keys and values",
    cases={"plain": (5, 3), "one token": (7, 1), "an empty cache": (0, 4), "the first token": (0, 1)},
    inputs=inputs, reference=lambda ranks, arguments: extended(arguments),
    mistakes={"a new token sees tokens after it\ntoken i of the new ones sees the cache and the new tokens 0 to i":
              lambda ranks, arguments: extended(arguments, lambda *shape: np.ones(shape)),
              "the mask begins at position 0\nthe first new token stands after all tokens of the cache":
              lambda ranks, arguments: extended(arguments, np.tri)},
    library="minipar/inference/kv_cache.py:KVCache")
