"""Computes the probabilities first, and takes their logarithm.

fails: values
says: NaN
"""
import numpy as np


def softmax(z):
    with np.errstate(all="ignore"):
        e = np.exp(z)
        return e / e.sum(axis=1, keepdims=True)


def loss(W, x, tags):
    with np.errstate(all="ignore"):
        return -np.log(softmax(x @ W)[np.arange(len(tags)), tags]).mean()


def gradient(W, x, tags):
    return x.T @ (softmax(x @ W) - np.eye(W.shape[1])[tags]) / len(tags)
