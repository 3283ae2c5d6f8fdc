"""Sees that the loss reads the probability of the right class only, and gives the other classes no gradient.

fails: gradients
says: only the column of the right class
"""
import numpy as np


def shifted(W, x):
    z = x @ W
    return z - z.max(axis=1, keepdims=True)


def loss(W, x, tags):
    z = shifted(W, x)
    return (np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(tags)), tags]).mean()


def gradient(W, x, tags):
    e = np.exp(shifted(W, x))
    right = np.eye(W.shape[1])[tags]
    return x.T @ (right * (e / e.sum(axis=1, keepdims=True) - 1)) / len(tags)
