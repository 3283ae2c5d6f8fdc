import numpy as np


def shifted(W, x):
    """The logits minus the largest logit of each word, float64 [n, k]."""
    z = x @ W
    return z - z.max(axis=1, keepdims=True)


def loss(W, x, tags):
    """The mean loss, a number. W: float64 [d, k]; x: float64 [n, d]; tags: int64 [n]."""
    z = shifted(W, x)
    return np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(tags)), tags])


def gradient(W, x, tags):
    """The derivative of `loss` with respect to W, float64 [d, k]."""
    slope = np.exp(shifted(W, x))
    slope /= slope.sum(axis=1, keepdims=True)                       # p
    slope[np.arange(len(tags)), tags] -= 1                          # p - one_hot(tag)
    return x.T @ slope / len(tags)
