"""Divides the loss by the number of words, and forgets to divide the gradient.

fails: gradients
says: sum of the losses
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
    return x.T @ (e / e.sum(axis=1, keepdims=True) - np.eye(W.shape[1])[tags])
